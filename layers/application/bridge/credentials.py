"""Secrets Manager → typed credentials, cached for five minutes.

A mismatch may mean that the secret was rotated a moment ago, so `refreshed` reads it
again at once, but at most every 30 seconds: a stream of wrong passwords must not become
a stream of calls to Secrets Manager.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError, model_validator

from bridge.aws import clients
from bridge.errors import CredentialsRejected, RetryableError
from bridge.observability import register_secret
from bridge.reasons import Reason
from bridge.validation import describe

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

CACHE_SECONDS = 300
REFRESH_SECONDS = 30
CONFIG = Config(connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 2})


class SecretModel(BaseModel):
    """Base of the credentials; unknown keys are ignored, so that keys can be added.

    A function needs only one of these models, and `Secret` builds it when needed.
    """

    model_config = ConfigDict(
        frozen=True, extra="ignore", hide_input_in_errors=True, defer_build=True
    )


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

    Raises `RetryableError` when Secrets Manager fails, or when the value is missing or
    unusable: a caller whose credentials cannot be checked must not be told that they
    are wrong.
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
        self._text = ""
        self._fetched_at = float("-inf")
        self._refreshed_at = float("-inf")

    def get(self) -> T:
        """The credentials, at most five minutes old."""
        now = self._clock()
        if now - self._fetched_at >= CACHE_SECONDS:
            self._fetch(now)
        return self._read()

    def refreshed(self) -> T:
        """The credentials as they are now, at most 30 seconds old."""
        now = self._clock()
        if now - self._refreshed_at < REFRESH_SECONDS:
            return self.get()
        self._refreshed_at = now
        self._fetch(now)
        return self._read()

    def _fetch(self, now: float) -> None:
        try:
            answer = self._client.get_secret_value(SecretId=self._arn)
        except (BotoCoreError, ClientError):
            raise RetryableError(
                Reason.SECRET_UNAVAILABLE,
                f"Secrets Manager gives no value for {self._arn}: is it set, and may "
                "this function read it?",
            ) from None
        self._text = answer.get("SecretString", "")
        self._fetched_at = now

    def _read(self) -> T:
        try:
            value = self._model.model_validate_json(self._text)
        except ValidationError as error:
            raise RetryableError(
                Reason.SECRET_UNUSABLE,
                f"The secret {self._arn} is not usable: {describe(error)}",
            ) from None
        _register(value)
        return value


def _register(value: object) -> None:
    if isinstance(value, SecretStr):
        register_secret(value.get_secret_value())
    elif isinstance(value, SecretModel):
        for name in type(value).model_fields:
            _register(getattr(value, name))
    elif isinstance(value, tuple):
        for item in value:
            _register(item)
