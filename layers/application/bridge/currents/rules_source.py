"""The customer's rules in S3, read again every few minutes.

If the rules are missing or unusable, events wait. Sending what a rule would filter
cannot be undone, and waiting loses nothing for six days.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from bridge.aws.clients import answering
from bridge.aws.objects import read_object
from bridge.credentials import MixpanelCredentials, Secret
from bridge.currents.mapping.rules import Rules, RulesUnusable, read_rules
from bridge.currents.mapping.transform import Mapper
from bridge.observability import Metric, count
from bridge.reasons import Reason
from bridge.settings import AnonymousUsers, EventsWithoutUser

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

RULES_CACHE_SECONDS = 180.0
MIN_KEY_LENGTH = 16
"""Characters of `hmac_key`: under a short key, e-mail addresses are soon guessed."""


class RulesFile:
    """One document in a bucket; with an empty key there are no rules."""

    def __init__(self, s3: "S3Client", bucket: str, key: str) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._key = key

    def read(self) -> Rules | None:
        """The rules as they are now.

        Raises `RulesUnusable` when they are missing or wrong, and `RetryableError`.
        """
        if not self._key:
            return None
        with answering("rules"):
            content = read_object(self._s3, self._bucket, self._key)
        if content is None:
            text = f"there is no s3://{self._bucket}/{self._key}"
            raise RulesUnusable(Reason.RULES_MISSING, text)
        return read_rules(content)


class CachedMapper:
    """The mapper under the newest rules; it is replaced only when they change."""

    def __init__(
        self,
        anonymous: AnonymousUsers,
        file: RulesFile | None,
        secret: Secret[MixpanelCredentials],
        clock: Callable[[], float] = time.monotonic,
        *,
        without_user: EventsWithoutUser = EventsWithoutUser.SKIP,
    ) -> None:
        self._anonymous = anonymous
        self._without_user = without_user
        self._file = file
        self._secret = secret
        self._clock = clock
        self._read_at = float("-inf")
        self._mapper: Mapper | None = None
        self._made_with: tuple[Rules | None, str] = (None, "")

    def get(self) -> Mapper:
        """The mapper; raises as `RulesFile.read`, and counts unusable rules."""
        if self._mapper and self._clock() - self._read_at < RULES_CACHE_SECONDS:
            return self._mapper
        try:
            rules = self._file.read() if self._file else None
            key = hashing_key(rules, self._secret)
        except RulesUnusable:
            count(Metric.RULES_UNUSABLE)
            raise
        if self._mapper is None or self._made_with != (rules, key):
            self._made_with = (rules, key)
            self._mapper = Mapper(
                self._anonymous, rules, key, without_user=self._without_user
            )
        self._read_at = self._clock()
        return self._mapper


def hashing_key(rules: Rules | None, secret: Secret[MixpanelCredentials]) -> str:
    """The key with which the rules hash, empty if they do not.

    Raises `RulesUnusable` if the secret has no such key, or a short one.
    """
    if rules is None or not rules.hashes:
        return ""
    key = secret.get().hmac_key.get_secret_value()
    if len(key) < MIN_KEY_LENGTH:
        raise RulesUnusable(
            Reason.RULES_UNUSABLE,
            "hash_properties, personal: hashing needs an hmac_key of at least "
            f"{MIN_KEY_LENGTH} characters in the Mixpanel secret",
        )
    return key
