"""Secrets Manager → typed credentials, cached for five minutes.

A mismatch may mean that the secret was rotated a moment ago, so it is read again at
once, but at most every 30 seconds: a stream of wrong passwords must not become a stream
of calls to Secrets Manager. While Secrets Manager fails, what was read last serves on,
for an hour at most.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError, model_validator

from bridge.aws import clients
from bridge.errors import CredentialsRejected, RetryableError, Unverified
from bridge.observability import Metric, count, logger, register_secret
from bridge.reasons import Reason
from bridge.validation import describe

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

CACHE_SECONDS = 300
REFRESH_SECONDS = 30
STALE_SECONDS = 3600
"""The age at which a cached secret opens nothing any more, though none can be read."""

PAUSE_SECONDS = 5
"""While Secrets Manager fails, it is not asked more often on behalf of the cache."""

MAX_SHOWN = 1000
"""Unknown credentials that are remembered, as digests; the oldest are forgotten."""

OUTAGES = frozenset({"InternalServiceError", "ThrottlingException", "RequestTimeout"})
"""Failures that heal by themselves, as those of 500 and above do. Any other one, such
as a secret without a value or a permission that is missing, waits for a person."""

CONFIG = Config(connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 2})


class SecretModel(BaseModel):
    """Base of the credentials; unknown keys are ignored, so that keys can be added.

    A function needs only one of these models, and `Secret` builds it when needed.
    """

    model_config = ConfigDict(
        frozen=True, extra="ignore", hide_input_in_errors=True, defer_build=True
    )
    unusable: ClassVar[type[RetryableError]] = RetryableError
    """Raised when the secret has no value that can be used."""


class BasicCredential(SecretModel):
    """One user name and password for the cohort webhook."""

    username: str
    password: SecretStr


class WebhookCredentials(SecretModel):
    """All credentials that open the cohort webhook; several during a rotation.

    A custom webhook presents one of `credentials`; a sender of Braze's cohort import
    presents one of `partner_api_keys` and one of `data_import_keys`.
    """

    credentials: tuple[BasicCredential, ...]
    partner_api_keys: tuple[SecretStr, ...] = ()
    data_import_keys: tuple[SecretStr, ...] = ()

    @property
    def opens_import(self) -> bool:
        """Whether there are keys of both kinds for the cohort import."""
        return bool(self.partner_api_keys and self.data_import_keys)

    @model_validator(mode="before")
    @classmethod
    def _single(cls, data: Any) -> Any:
        if isinstance(data, dict) and "credentials" not in data:
            return data | {"credentials": [data]}
        return data


class CurrentsCredentials(SecretModel):
    """All bearer tokens that open the Currents receiver."""

    tokens: tuple[SecretStr, ...]

    @model_validator(mode="before")
    @classmethod
    def _single(cls, data: Any) -> Any:
        if isinstance(data, dict) and "tokens" not in data and "token" in data:
            return {"tokens": [data["token"]]}
        return data


class BrazeCredentials(SecretModel):
    """The REST key for the attribute route, the other two for the partner route.

    The REST key needs the permissions users.track and users.export.ids. Braze issues
    the partner key; the customer creates the data import key.
    """

    unusable = CredentialsRejected

    rest_api_key: SecretStr = SecretStr("")
    partner_api_key: SecretStr = SecretStr("")
    data_import_key: SecretStr = SecretStr("")

    def need(self, name: str) -> str:
        """One of the keys; raises `CredentialsRejected` if the secret lacks it."""
        key: SecretStr = getattr(self, name)
        if not key.get_secret_value():
            raise CredentialsRejected(Reason.NO_KEY, f"The Braze secret has no {name}")
        return key.get_secret_value()


class MixpanelCredentials(SecretModel):
    """A service account with its project, a project token, or the older API secret.

    The first complete one of these is used (requirement R13). The API secret retires
    on 2027-03-03 (Mixpanel, "Project Secret").
    """

    unusable = CredentialsRejected

    service_account_username: str = ""
    service_account_secret: SecretStr = SecretStr("")
    project_id: str = ""
    project_token: SecretStr = SecretStr("")
    api_secret: SecretStr = SecretStr("")
    hmac_key: SecretStr = SecretStr("")
    """Key of the rules that hash properties; not a login, but as secret as one."""

    @model_validator(mode="after")
    def _one_is_complete(self) -> "MixpanelCredentials":
        self.basic_auth()
        return self

    def basic_auth(self) -> tuple[str, str]:
        """User name and password of the Import API's Basic authentication."""
        secret = self.service_account_secret.get_secret_value()
        if self.service_account_username and secret:
            if not self.project_id:
                raise ValueError("a service account needs the project_id beside it")
            return self.service_account_username, secret
        single = self.project_token.get_secret_value()
        single = single or self.api_secret.get_secret_value()
        if not single:
            raise ValueError(
                "needs service_account_username, service_account_secret and "
                "project_id, or project_token, or api_secret"
            )
        return single, ""

    @property
    def query(self) -> dict[str, str]:
        """Query parameters (Mixpanel, "Import Events"): a service account's project."""
        username, _ = self.basic_auth()
        is_account = username == self.service_account_username
        return {"project_id": self.project_id} if is_account else {}


class Secret[T: SecretModel]:
    """One secret, read as one model.

    Raises `RetryableError` when Secrets Manager fails, and the model's `unusable` when
    the value is missing or wrong: a caller whose credentials cannot be checked must not
    be told that they are wrong.
    """

    def __init__(
        self,
        arn: str,
        model: type[T],
        *,
        client: "SecretsManagerClient | None" = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._arn = arn
        model.model_rebuild()
        self._model = model
        self._client = client or clients.create("secretsmanager", CONFIG)
        self._clock = clock
        # Many calls at a time may meet a key that has been rotated: one asks.
        self._one = Lock()
        self._text = ""
        self._value: T | None = None
        self._fetched_at = float("-inf")
        self._refreshed_at = float("-inf")
        self._failed_at = float("-inf")
        self._shown: dict[bytes, float] = {}
        self._replaced: T | None = None
        self._replaced_at = float("-inf")

    def get(self) -> T:
        """The credentials, at most five minutes old; an hour if none can be read."""
        with self._one:
            return self._get()

    def _get(self) -> T:
        now = self._clock()
        age = now - self._fetched_at
        if age >= CACHE_SECONDS:
            serves = age < STALE_SECONDS and bool(self._text)
            if serves and now - self._failed_at < PAUSE_SECONDS:
                return self._read()
            try:
                self._fetch(now)
            except RetryableError as error:
                if not serves:
                    raise
                self._failed_at = now
                logger.warning(
                    "secret served from the cache",
                    reason=error.reason,
                    why=str(error),
                    age_seconds=int(age),
                )
        return self._read()

    def refreshed(self) -> T:
        """The credentials as they are now, at most 30 seconds old."""
        with self._one:
            now = self._clock()
            if now - self._refreshed_at < REFRESH_SECONDS:
                return self._get()
            self._fetch(now)
            self._refreshed_at = now
            return self._read()

    def now(self) -> float:
        """By the clock of `read_since`."""
        return self._clock()

    def read_since(self, came: float, shown: str = "") -> T:
        """The credentials, read no earlier than a caller showed unknown ones.

        `came` is when the call came; the first call that showed the same counts. Raises
        `Unverified` where the secret was read a moment before that and may not be read
        again yet: what the caller shows may have been put into it in between.
        """
        first = self._first_shown(shown, came)
        if (
            self._fetched_at < came
            and self._clock() - self._refreshed_at >= REFRESH_SECONDS
        ):
            self.refreshed()
        if self._fetched_at < first:
            raise Unverified(
                Reason.CREDENTIALS_UNVERIFIED,
                "unknown credentials, and the secret was read a moment ago",
            )
        return self._read()

    def _first_shown(self, shown: str, came: float) -> float:
        if not shown:
            return came
        digest = sha256(shown.encode("utf-8", "surrogatepass")).digest()
        if len(self._shown) >= MAX_SHOWN and digest not in self._shown:
            del self._shown[next(iter(self._shown))]
        return self._shown.setdefault(digest, came)

    def replaced(self) -> T | None:
        """What the present value has replaced, if it can be read; it opens nothing."""
        now = self._clock()
        if now - self._replaced_at >= REFRESH_SECONDS:
            self._replaced_at, self._replaced = now, None
            with suppress(BotoCoreError, ClientError, RetryableError):
                answer = self._client.get_secret_value(
                    SecretId=self._arn, VersionStage="AWSPREVIOUS"
                )
                self._replaced = self._parsed(answer.get("SecretString", ""))
        return self._replaced

    def _fetch(self, now: float) -> None:
        error: type[RetryableError] = RetryableError
        try:
            answer = self._client.get_secret_value(SecretId=self._arn)
        except ClientError as failure:
            if not _is_outage(failure):
                error = self._model.unusable
        except BotoCoreError:
            pass
        else:
            self._text, self._value = answer.get("SecretString", ""), None
            self._fetched_at = now
            return
        if error is RetryableError:
            count(Metric.STORE_UNAVAILABLE)
        raise error(
            Reason.SECRET_UNAVAILABLE,
            f"Secrets Manager gives no value for {self._arn}: is it set, and may "
            "this function read it?",
        )

    def _read(self) -> T:
        if self._value is None:
            self._value = self._parsed(self._text)
        return self._value

    def _parsed(self, text: str) -> T:
        try:
            value = self._model.model_validate_json(text)
        except ValidationError as error:
            raise self._model.unusable(
                Reason.SECRET_UNUSABLE,
                f"The secret {self._arn} is not usable: {describe(error)}",
            ) from None
        _register(value)
        return value


def _is_outage(failure: ClientError) -> bool:
    status = failure.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status >= 500 or clients.error_code(failure) in OUTAGES


def _register(value: object) -> None:
    if isinstance(value, SecretStr):
        register_secret(value.get_secret_value())
    elif isinstance(value, SecretModel):
        for name in type(value).model_fields:
            _register(getattr(value, name))
    elif isinstance(value, tuple):
        for item in value:
            _register(item)
