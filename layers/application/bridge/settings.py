"""The environment as one frozen model per function; the only reader of os.environ.

A mistake shows at the first invocation as one error that names every wrong variable,
not as a failure deep in a run. Secrets are never in the environment: see `credentials`.
"""

import os
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from bridge.errors import BridgeError
from bridge.reasons import Reason
from bridge.validation import problems


class SettingsError(BridgeError):
    """The environment of a function is unusable; the message lists every mistake."""


class MixpanelRegion(StrEnum):
    """Data residency of the Mixpanel project; another region's host loses events."""

    US = "US"
    EU = "EU"
    IN = "IN"

    @property
    def ingestion_url(self) -> str:
        """Host of the Import API (Mixpanel docs, EU and India residency)."""
        suffix = "" if self is MixpanelRegion.US else f"-{self.value.lower()}"
        return f"https://api{suffix}.mixpanel.com"

    @property
    def query_url(self) -> str:
        """Host of the Query API (Mixpanel docs, "Query API")."""
        prefix = "" if self is MixpanelRegion.US else f"{self.value.lower()}."
        return f"https://{prefix}mixpanel.com"


class AnonymousUsers(StrEnum):
    """What becomes of an event whose user has no external id."""

    SKIP = "skip"
    DEVICE = "device"


class EventsWithoutUser(StrEnum):
    """What becomes of an event that is about no user at all."""

    SKIP = "skip"
    SEND = "send"


class MassRejection(StrEnum):
    """What happens when Mixpanel rejects too many events: wait, or quarantine them."""

    WAIT = "wait"
    QUARANTINE = "quarantine"


class CohortValue(StrEnum):
    """What the user's attribute in Braze contains of a cohort."""

    ID = "id"
    NAME = "name"


class CohortForm(StrEnum):
    """How the attribute route writes membership: one array, or a boolean per cohort."""

    ARRAY = "array"
    BOOLEAN = "boolean"


class CohortRoute(StrEnum):
    """Which of Braze's interfaces cohorts are written through."""

    ATTRIBUTE = "attribute"
    PARTNER = "partner"


class BrazeContract(StrEnum):
    """How Braze limits calls to users/track, by the kind of the contract.

    `hourly`: so many an hour, 250,000 on the smaller contracts by monthly users;
    `data_points`: 3,000 in three seconds (Braze docs, "API rate limits").
    """

    HOURLY = "hourly"
    DATA_POINTS = "data_points"

    @property
    def calls_at_a_time(self) -> int:
        """What fills the limit where a call takes some 200 ms, or the process's CPU."""
        return 16 if self is BrazeContract.HOURLY else 32


RESERVED_ATTRIBUTES = frozenset(
    """
    external_id user_alias braze_id email phone _update_existing_only push_tokens
    push_token_import subscription_groups alias_name alias_label first_name last_name
    country language gender dob home_city time_zone current_location
    date_of_first_session date_of_last_session email_subscribe push_subscribe
    marked_email_as_spam_at image_url facebook twitter
    """.split()
)
"""Fields of an attributes object that Braze defines (Braze, "User attributes object"):
written under one of these names, membership would change the user's id or profile."""

MAX_ATTRIBUTE_PREFIX = 150
"""Characters: with a cohort id of 100 the name stays within Braze's 255."""


def _custom_attribute(name: str) -> str:
    name = name.strip()
    if not name:
        raise ValueError("must not be blank")
    if name in RESERVED_ATTRIBUTES:
        raise ValueError(f"{name!r} is a field of Braze's own, choose another name")
    return name


def _is_loopback(url: str) -> bool:
    return bool(_LOOPBACK.fullmatch(url))


# As in the template. Not parsed: a URL parser and the HTTP client may disagree.
_BRAZE_HOST = re.compile(r"https://rest\.[a-z0-9-]+\.braze\.(com|eu)/?")
_LOOPBACK = re.compile(r"http://127\.0\.0\.1(:[0-9]{1,5})?/?")


def _braze_endpoint(url: str) -> str:
    """Keys are sent only to Braze's own hosts, or to a stand-in on this machine."""
    if not (_BRAZE_HOST.fullmatch(url) or _is_loopback(url)):
        raise ValueError("must be https://rest.<instance>.braze.com or .braze.eu")
    return url.rstrip("/")


def _loopback(url: str) -> str:
    if url and not _is_loopback(url):
        raise ValueError("is for tests: only http://127.0.0.1:PORT is taken")
    return url.rstrip("/")


class Settings(BaseModel):
    """Base: fields are named as environment variables, in lower case.

    A model is built when it is loaded, so a function builds only its own.
    """

    model_config = ConfigDict(frozen=True, defer_build=True)

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
                f"{field.upper()}: {message}" for field, message in problems(error)
            )
            raise SettingsError(Reason.SETTINGS, f"environment: {wrong}") from None


class CohortWebhookSettings(Settings):
    """Environment of the function `cohort_webhook`."""

    ledger_table: str
    cohort_queue_url: str
    data_bucket: str
    webhook_secret_arn: str
    identifiers: str = "external_id=$braze_external_id,external_id=mixpanel_distinct_id"
    cohort_route: CohortRoute = CohortRoute.ATTRIBUTE


class CohortConsumerSettings(Settings):
    """Environment of the function `cohort_consumer`."""

    ledger_table: str
    cohort_queue_url: str
    data_bucket: str
    braze_secret_arn: str
    braze_rest_endpoint: Annotated[str, AfterValidator(_braze_endpoint)]
    braze_workspace: str = ""
    braze_partner: str = Field("mixpanel", pattern="^[A-Za-z0-9_-]{1,64}$")
    cohort_route: CohortRoute = CohortRoute.ATTRIBUTE
    cohort_attribute: Annotated[
        str, Field(max_length=255), AfterValidator(_custom_attribute)
    ] = "mixpanel_cohorts"
    cohort_form: CohortForm = CohortForm.ARRAY
    cohort_value: CohortValue = CohortValue.ID
    max_removal_fraction: float = Field(0.5, gt=0, le=1)
    guarded_members: int = Field(100, ge=0, le=10_000_000)
    reassert_days: int = Field(30, ge=0, le=365)
    write_gap_seconds: float = Field(5.0, ge=0, le=15)
    braze_contract: BrazeContract = BrazeContract.HOURLY
    braze_calls_at_a_time: int = Field(0, ge=0, le=64)
    braze_reserved_percent: int = Field(0, ge=0, le=90)

    @property
    def calls_at_a_time(self) -> int:
        """Calls of Braze that a consumer has under way at once.

        To a second call for the same cohort the cohort import answers 423.
        """
        if self.cohort_route is CohortRoute.PARTNER:
            return 1
        return self.braze_calls_at_a_time or self.braze_contract.calls_at_a_time

    @field_validator("cohort_form")
    @classmethod
    def _room_for_the_cohort(cls, form: CohortForm, info: ValidationInfo) -> CohortForm:
        prefix = info.data.get("cohort_attribute", "")
        if form is CohortForm.BOOLEAN and len(prefix) > MAX_ATTRIBUTE_PREFIX:
            raise ValueError(
                f"boolean needs a COHORT_ATTRIBUTE of at most {MAX_ATTRIBUTE_PREFIX} "
                "characters, because the cohort's id follows it"
            )
        return form


class CohortMaintenanceSettings(Settings):
    """Environment of the function `cohort_maintenance`."""

    ledger_table: str
    cohort_queue_url: str
    reassert_days: int = Field(30, ge=0, le=365)
    forget_silent_days: int = Field(30, ge=1, le=3650)


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
    events_without_user: EventsWithoutUser = EventsWithoutUser.SKIP
    mass_rejection: MassRejection = MassRejection.WAIT
    rules_key: str = ""
    mixpanel_url: Annotated[str, AfterValidator(_loopback)] = ""

    @property
    def ingestion_url(self) -> str:
        """Base URL of the Import API: the region's host, or the stand-in of a test."""
        return self.mixpanel_url or self.mixpanel_region.ingestion_url
