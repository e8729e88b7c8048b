"""The wire of Mixpanel's cohort webhook: its request, its members, its answer (pure).

Source: Mixpanel docs, "Cohort Sync: Webhooks". Only what is read is validated, because
a 400 pauses the customer's sync until a person resumes it: project, cohort, session,
action and pages strictly, because a mistake there must reach that person; members one
by one later. Whatever else the body holds refuses nothing.
"""

import json
from enum import StrEnum
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
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
    """The docs have ids as strings; some senders write numbers, even 7.0 for 7."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
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


def _readable(name: object) -> str:
    """A name is only displayed: an odd one must not stop the sync, and null is none."""
    text = _as_text(name)
    if not isinstance(text, str):
        return ""
    return text[:MAX_NAME_LENGTH].encode("utf-8", "replace").decode()


class PageInfo(BaseModel):
    """Which page of how many: `page_count` is this page's index.

    Mixpanel counts from 1. A sender that counts from 0 gives each page a number of its
    own as well, and no more is needed.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    total_pages: Annotated[int, Field(ge=1, le=MAX_PAGES)]
    page_count: Annotated[int, Field(ge=0, le=MAX_PAGES)]

    @model_validator(mode="after")
    def _within(self) -> "PageInfo":
        if self.page_count > self.total_pages:
            raise ValueError("page_count is greater than total_pages")
        return self


EMPTY_LIST_COUNTS = (("0", "0"), ("0", "1"), ("1", "0"))
"""Page and total by which senders count the one page of an empty list."""


def _page_info(info: object, *, is_empty: bool) -> object:
    """The page info to validate; without both numbers there is none."""
    if not isinstance(info, dict):
        return info
    counts = info.get("page_count"), info.get("total_pages")
    if None in counts:
        return None
    if is_empty and tuple(map(_as_text, counts)) in EMPTY_LIST_COUNTS:
        return info | {"page_count": 1, "total_pages": 1}
    return info


class Parameters(BaseModel):
    """The cohort, the session and the page; unknown keys are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    mixpanel_project_id: Id
    mixpanel_cohort_id: Id
    mixpanel_session_id: Id
    mixpanel_cohort_name: Annotated[str, BeforeValidator(_readable)] = ""
    page_info: PageInfo | None = None
    members: list[Any]

    @model_validator(mode="before")
    @classmethod
    def _normalized(cls, data: Any) -> Any:
        """`members: null` is an empty list."""
        if not isinstance(data, dict) or "members" not in data:
            return data
        members = [] if data["members"] is None else data["members"]
        info = _page_info(data.get("page_info"), is_empty=members == [])
        return data | {"members": members, "page_info": info}


class Postback(BaseModel):
    """One call of the webhook.

    `members` is inside `parameters`; one relayed capture has it beside them.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    action: Action
    parameters: Parameters

    @property
    def members(self) -> list[Any]:
        """The members of the page, each as it came."""
        return self.parameters.members

    @model_validator(mode="before")
    @classmethod
    def _members_beside(cls, data: Any) -> Any:
        if isinstance(data, dict) and "members" in data:
            parameters = data.get("parameters")
            if isinstance(parameters, dict) and parameters.get("members") is None:
                moved = parameters | {"members": data["members"]}
                return data | {"parameters": moved}
        return data


def parse(body: bytes) -> Postback:
    """Read one call; raises `MalformedInput` whose message a customer can act on.

    The message never quotes the body, which contains personal data.
    """
    data = validation.load_leniently(body)
    _check_envelope(data)
    try:
        return Postback.model_validate(data)
    except ValidationError as error:
        field, message = validation.problems(error)[0]
        raise MalformedInput(
            Reason.ENVELOPE, f"{field}: {message}", field=field
        ) from None


def _check_envelope(data: dict[str, Any]) -> None:
    """Raise `MalformedInput` if what is read of the envelope has two readings."""
    validation.check_read_keys(data, frozenset({"action", "parameters", "members"}))
    parameters = data.get("parameters")
    if isinstance(parameters, dict):
        names = frozenset(Parameters.model_fields) - {"mixpanel_cohort_name"}
        validation.check_read_keys(parameters, names)
        if isinstance(info := parameters.get("page_info"), dict):
            validation.check_read_keys(info, frozenset(PageInfo.model_fields))


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
