"""The environment as one frozen model per function; the only reader of os.environ.

A mistake shows at the first invocation as one error that names every wrong variable,
not as a failure deep in a run. Secrets never come this way: see `credentials`.
"""

import os
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from bridge.errors import BridgeError


class SettingsError(BridgeError):
    """The environment of a function is not usable; the message lists why."""


class MixpanelRegion(StrEnum):
    """Data residency of the Mixpanel project; another region's host loses the data."""

    US = "US"
    EU = "EU"
    IN = "IN"

    @property
    def ingestion_url(self) -> str:
        """Host of the Import API (Mixpanel docs, EU and India residency)."""
        suffix = "" if self is MixpanelRegion.US else f"-{self.value.lower()}"
        return f"https://api{suffix}.mixpanel.com"


class AnonymousUsers(StrEnum):
    """What becomes of an event whose user has no external id."""

    SKIP = "skip"
    DEVICE = "device"


class CohortValue(StrEnum):
    """What stands for a cohort in the user's attribute in Braze."""

    ID = "id"
    NAME = "name"


def _is_loopback(url: str) -> bool:
    parts = urlsplit(url)
    return (
        parts.scheme == "http"
        and parts.hostname == "127.0.0.1"
        and not parts.username
        and parts.path in {"", "/"}
    )


def _braze_endpoint(url: str) -> str:
    """Keys go only to Braze's own hosts, or to a stand-in on this machine."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    ours = (
        parts.scheme == "https"
        and parts.netloc == host
        and host.startswith("rest.")
        and host.endswith((".braze.com", ".braze.eu"))
        and parts.path in {"", "/"}
        and not parts.query
        and not parts.fragment
    )
    if not (ours or _is_loopback(url)):
        raise ValueError("must be https://rest.<instance>.braze.com or .braze.eu")
    return url.rstrip("/")


def _loopback(url: str) -> str:
    if url and not _is_loopback(url):
        raise ValueError("is for tests: only http://127.0.0.1:PORT is taken")
    return url.rstrip("/")


class Settings(BaseModel):
    """Base: fields are environment variables in lower case."""

    model_config = ConfigDict(frozen=True)

    @classmethod
    def load(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read and check the environment; raises `SettingsError`."""
        source = os.environ if environment is None else environment
        values = {
            name: source[name.upper()]
            for name in cls.model_fields
            if name.upper() in source
        }
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            wrong = "; ".join(
                f"{str(item['loc'][0]).upper()}: {item['msg']}"
                for item in error.errors(include_input=False, include_url=False)
            )
            raise SettingsError("settings", f"environment: {wrong}") from None


class CohortWebhookSettings(Settings):
    """Environment of the function `cohort_webhook`."""

    ledger_table: str
    cohort_queue_url: str
    data_bucket: str
    webhook_secret_arn: str
    identifiers: str = "external_id=$braze_external_id,external_id=mixpanel_distinct_id"


class CohortConsumerSettings(Settings):
    """Environment of the function `cohort_consumer`."""

    ledger_table: str
    cohort_queue_url: str
    data_bucket: str
    braze_secret_arn: str
    braze_rest_endpoint: Annotated[str, AfterValidator(_braze_endpoint)]
    cohort_attribute: str = Field("mixpanel_cohorts", min_length=1, max_length=255)
    cohort_value: CohortValue = CohortValue.ID


class CurrentsReceiverSettings(Settings):
    """Environment of the function `currents_receiver`."""

    currents_stream: str
    currents_secret_arn: str
    data_bucket: str


class CurrentsLoaderSettings(Settings):
    """Environment of the function `currents_loader`."""

    currents_stream: str
    data_bucket: str


class CurrentsImporterSettings(Settings):
    """Environment of the function `currents_importer`."""

    mixpanel_secret_arn: str
    mixpanel_region: MixpanelRegion
    data_bucket: str
    anonymous_users: AnonymousUsers = AnonymousUsers.SKIP
    rules_key: str = ""
    mixpanel_url: Annotated[str, AfterValidator(_loopback)] = ""

    @property
    def ingestion_url(self) -> str:
        """Where events go: the region's host, or the stand-in of a test."""
        return self.mixpanel_url or self.mixpanel_region.ingestion_url
