"""The wire of Mixpanel's cohort webhook: its request, its members, its answer (pure).

Source: Mixpanel docs, "Cohort Sync: Webhooks". The envelope is validated strictly,
because a mistake there must reach a person. Members are validated one by one later,
because a 400 for one odd member would pause the whole sync.
"""

import json
from enum import StrEnum
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AliasPath,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from bridge import validation
from bridge.errors import MalformedInput
from bridge.reasons import Reason

MEMBERS_PER_CALL = 1000
"""Mixpanel's page size; a longer page is accepted too."""

MAX_ID_LENGTH = 100
MAX_PAGES = 100_000
MAX_NAME_LENGTH = 255


class Action(StrEnum):
    """What a page says about its members."""

    FULL = "members"
    ADD = "add_members"
    REMOVE = "remove_members"

    @property
    def present(self) -> bool:
        """Whether the page's members are in the cohort."""
        return self is not Action.REMOVE


def _as_text(value: object) -> object:
    """The docs have ids as strings; some senders write numbers."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value


def _encodable(text: str) -> str:
    """JSON can contain a lone surrogate, which cannot be stored as UTF-8."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("holds half a character (a lone surrogate)")
    return text


Id = Annotated[
    str,
    BeforeValidator(_as_text),
    Field(min_length=1, max_length=MAX_ID_LENGTH),
    AfterValidator(_encodable),
]


def _readable(name: str) -> str:
    """A name is only displayed: a long or broken one must not stop the sync."""
    return name[:MAX_NAME_LENGTH].encode("utf-8", "replace").decode()


class PageInfo(BaseModel):
    """Which page of how many: `page_count` is this page's index, from 1."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    total_pages: Annotated[int, Field(ge=1, le=MAX_PAGES)]
    page_count: Annotated[int, Field(ge=1, le=MAX_PAGES)]

    @model_validator(mode="after")
    def _within(self) -> "PageInfo":
        if self.page_count > self.total_pages:
            raise ValueError("page_count is greater than total_pages")
        return self


class Parameters(BaseModel):
    """The cohort, the session and the page; unknown keys are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    mixpanel_project_id: Id
    mixpanel_cohort_id: Id
    mixpanel_session_id: Id
    mixpanel_cohort_name: Annotated[str, AfterValidator(_readable)] = ""
    page_info: PageInfo | None = None


class Postback(BaseModel):
    """One call of the webhook.

    `members` is inside `parameters`; one relayed capture has it beside them.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    action: Action
    parameters: Parameters
    members: list[Any] = Field(
        validation_alias=AliasPath("parameters", "members"),
    )

    @model_validator(mode="before")
    @classmethod
    def _members_beside(cls, data: Any) -> Any:
        if isinstance(data, dict) and "members" in data:
            parameters = data.get("parameters")
            if isinstance(parameters, dict) and "members" not in parameters:
                moved = parameters | {"members": data["members"]}
                return data | {"parameters": moved}
        return data


def parse(body: bytes) -> Postback:
    """Read one call; raises `MalformedInput` whose message a customer can act on.

    The message never quotes the body, which contains personal data.
    """
    data = validation.load_object(body)
    try:
        return Postback.model_validate(data)
    except ValidationError as error:
        field, message = validation.problems(error)[0]
        raise MalformedInput(
            Reason.ENVELOPE, f"{field}: {message}", field=field
        ) from None


def action_of(body: bytes) -> str | None:
    """The action of a call that is malformed, if it can be read."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return None
    action = data.get("action") if isinstance(data, dict) else None
    return action if isinstance(action, str) and action in set(Action) else None


def success(action: str) -> dict[str, Any]:
    """The answer after which Mixpanel sends the next page."""
    return {"action": action, "status": "success"}


def failure(action: str | None, code: int, message: str) -> dict[str, Any]:
    """The answer that Mixpanel shows to its users, so without secrets and members."""
    return {
        "action": action,
        "status": "failure",
        "error": {"message": message, "code": code},
    }
