"""The customer's rules: which events and properties are sent, under which names (pure).

They are a JSON document, so that holding a property back needs no deployment; this
model is its schema (`bridge rules`). `rules_source` fetches the file, and `compile`
applies it.
"""

import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from fnmatch import translate
from functools import cache
from hashlib import sha256
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from bridge.currents.mapping.catalog import CATALOG, CUSTOM_EVENT_PREFIX
from bridge.currents.mapping.properties import (
    OWN_PROPERTIES,
    is_reserved,
    known_properties,
)
from bridge.errors import RetryableError
from bridge.reasons import Reason
from bridge.validation import describe

MAX_NAME_LENGTH = 255
"""Mixpanel truncates longer names (Mixpanel docs, "Events and Properties")."""

_KEYS = frozenset(
    {"event_type", "id", "time", "external_user_id", "distinct_id", "$insert_id"}
)


class RulesUnusable(RetryableError):
    """The rules cannot be used; events are deferred until somebody corrects them."""


def _name(value: str) -> str:
    if not value.strip() or len(value) > MAX_NAME_LENGTH:
        raise ValueError(f"must have 1 to {MAX_NAME_LENGTH} characters")
    if is_reserved(value):
        raise ValueError(f"{value} is reserved by Mixpanel")
    return value


def _path(value: str) -> str:
    if not value.strip():
        raise ValueError("must name a property")
    if value in _KEYS:
        raise ValueError(f"{value} identifies the event and cannot be changed")
    return value


type EventName = Annotated[str, AfterValidator(_name)]
type PropertyName = Annotated[str, AfterValidator(_name)]
type PropertyPath = Annotated[str, AfterValidator(_path)]
type Pattern = Annotated[str, Field(min_length=1)]


class Personal(StrEnum):
    """What happens to properties that hold personal data; docs/events.md lists them."""

    KEEP = "keep"
    DROP = "drop"
    HASH = "hash"


class Document(BaseModel):
    """Base of all entries: an unknown key is an error and not ignored."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )


class Sample(Document):
    """A share of the users whose events of some types are kept."""

    events: tuple[Pattern, ...] = Field(min_length=1)
    """Event types, as in `include`."""
    keep: float = Field(ge=0, le=1)
    """0.1 keeps the events of a tenth of the users, the same ones in every entry."""


class Rules(Document):
    """All rules; without any, every event is sent as docs/events.md says."""

    include: tuple[Pattern, ...] = ("*",)
    """Events that are sent: types, names in Mixpanel, or families; `*` is any text."""
    exclude: tuple[Pattern, ...] = ()
    """Events that are not sent although they are included."""
    sample: tuple[Sample, ...] = ()
    """The first entry that names an event applies."""
    rename_events: dict[str, EventName] = {}
    """From a type, or a name in Mixpanel, to the new name."""
    rename_properties: dict[PropertyPath, PropertyName] = {}
    """From a property, or `custom_properties.NAME`, to the new name."""
    drop_properties: tuple[PropertyPath, ...] = ()
    """Properties that are not sent; `message_extras.email` is one inside another."""
    hash_properties: tuple[PropertyPath, ...] = ()
    """Properties whose HMAC-SHA256 is sent; the key is `hmac_key` of the secret."""
    personal: Personal = Personal.KEEP
    """What happens to personal properties that no other entry names."""

    @model_validator(mode="after")
    def _agree(self) -> Self:
        both = set(self.drop_properties) & set(self.hash_properties)
        if both:
            raise ValueError(f"both dropped and hashed: {', '.join(sorted(both))}")
        targets = list(self.rename_properties.values())
        repeated = {name for name in targets if targets.count(name) > 1}
        if repeated:
            raise ValueError(
                f"two properties are renamed to {', '.join(sorted(repeated))}"
            )
        taken = (set(targets) & known_properties()) - set(self.rename_properties)
        if taken:
            raise ValueError(f"is another property already: {', '.join(sorted(taken))}")
        inside = [path for path in self.rename_properties if _is_inside(path)]
        if inside:
            raise ValueError(f"cannot be renamed: {', '.join(inside)}")
        return self

    @property
    def hashes(self) -> bool:
        """Whether any rule needs the HMAC key."""
        return bool(self.hash_properties) or self.personal is Personal.HASH

    def filtering(self, event_type: str, name: str, family: str) -> str | None:
        """The rule that filters such events; None if they are sent."""
        names = (event_type, name, family)
        if not any(_matches(pattern, names) for pattern in self.include):
            return Reason.NOT_INCLUDED
        for pattern in self.exclude:
            if _matches(pattern, names):
                return f"exclude {pattern}"
        return None

    def sampling(self, event_type: str, name: str, family: str) -> Sample | None:
        """The entry that samples such events; None if there is none."""
        names = (event_type, name, family)
        for sample in self.sample:
            if any(_matches(pattern, names) for pattern in sample.events):
                return sample
        return None

    def unknown_names(self) -> Iterator[str]:
        """Entries that name nothing known: a typo, or newer than the catalog."""
        patterns = [
            *(("include", pattern) for pattern in self.include),
            *(("exclude", pattern) for pattern in self.exclude),
            *(("sample", each) for entry in self.sample for each in entry.events),
            *(("rename_events", name) for name in self.rename_events),
        ]
        for entry, pattern in patterns:
            if not (
                any(
                    _matches(pattern, (kind, row.name, row.family))
                    for kind, row in CATALOG.items()
                )
                or pattern.startswith(CUSTOM_EVENT_PREFIX)
            ):
                yield f"{entry}: {pattern} is no known event"
        for entry in ("rename_properties", "drop_properties", "hash_properties"):
            for path in getattr(self, entry):
                if path.partition(".")[0] not in known_properties():
                    yield f"{entry}: {path} is no known property"


def read_rules(content: bytes) -> Rules:
    """Parse the document; raises `RulesUnusable` naming each wrong entry."""
    try:
        return Rules.model_validate_json(content)
    except ValidationError as error:
        raise RulesUnusable(
            Reason.RULES_UNUSABLE, describe(error, "the document")
        ) from None


def is_sampled(distinct_id: str, share: float) -> bool:
    """Whether the share includes this user; who is in 1 % is also in 10 %."""
    digest = sha256(distinct_id.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:7]) < share * 2**56


def _is_inside(path: str) -> bool:
    head, dot, rest = path.partition(".")
    return bool(dot) and (head not in OWN_PROPERTIES or "." in rest)


def _matches(pattern: str, names: Iterable[str]) -> bool:
    matcher = _matcher(pattern)
    return any(matcher.fullmatch(name) for name in names)


@cache
def _matcher(pattern: str) -> re.Pattern[str]:
    """A pattern in which only `*` is special, for names in Mixpanel have brackets.

    `translate` uses atomic groups, so that no event type, however long, backtracks.
    """
    return re.compile(translate(re.sub(r"[\[?]", r"[\g<0>]", pattern)))
