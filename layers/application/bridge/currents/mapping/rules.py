"""The customer's rules: which events and properties go to Mixpanel, under which name.

A JSON document, so that nobody needs a deployment to hold a property back; its schema
is this model (`bridge rules`). The rules are pure: the file is fetched in `rules_file`,
and put to work in `plan`.
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
from bridge.validation import describe

MAX_NAME_LENGTH = 255
"""Mixpanel cuts longer names (Mixpanel docs, "Events and Properties")."""

_KEYS = frozenset(
    {"event_type", "id", "time", "external_user_id", "distinct_id", "$insert_id"}
)


class RulesUnusable(RetryableError):
    """The rules cannot be used: events wait until they are mended."""


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
    """What becomes of properties that are personal data, as docs/events.md lists."""

    KEEP = "keep"
    DROP = "drop"
    HASH = "hash"


class Document(BaseModel):
    """Base: an entry with a name that is unknown is a mistake, not a wish."""

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
    """Events that are sent: types, names in Mixpanel, or families; `*` is anything."""
    exclude: tuple[Pattern, ...] = ()
    """Events that are not, though they are included."""
    sample: tuple[Sample, ...] = ()
    """The first entry that names an event counts."""
    rename_events: dict[str, EventName] = {}
    """Type, or name in Mixpanel, to the name that is wanted."""
    rename_properties: dict[PropertyPath, PropertyName] = {}
    """Property, or `custom_properties.NAME`, to the name that is wanted."""
    drop_properties: tuple[PropertyPath, ...] = ()
    """Properties that are not sent; `message_extras.email` is one inside another."""
    hash_properties: tuple[PropertyPath, ...] = ()
    """Properties whose HMAC-SHA256 is sent; the key is `hmac_key` of the secret."""
    personal: Personal = Personal.KEEP
    """What becomes of personal properties that no other entry names."""

    @model_validator(mode="after")
    def _agree(self) -> Self:
        both = set(self.drop_properties) & set(self.hash_properties)
        if both:
            raise ValueError(f"both dropped and hashed: {', '.join(sorted(both))}")
        wanted = list(self.rename_properties.values())
        twice = {name for name in wanted if wanted.count(name) > 1}
        if twice:
            raise ValueError(
                f"two properties are renamed to {', '.join(sorted(twice))}"
            )
        taken = (set(wanted) & known_properties()) - set(self.rename_properties)
        if taken:
            raise ValueError(f"is another property already: {', '.join(sorted(taken))}")
        inside = [path for path in self.rename_properties if _is_inside(path)]
        if inside:
            raise ValueError(f"cannot be renamed: {', '.join(inside)}")
        return self

    @property
    def hashes(self) -> bool:
        """Whether a key is needed."""
        return bool(self.hash_properties) or self.personal is Personal.HASH

    def filtering(self, event_type: str, name: str, family: str) -> str | None:
        """The rule by which such events are not sent."""
        called = (event_type, name, family)
        if not any(_matches(pattern, called) for pattern in self.include):
            return "not_included"
        for pattern in self.exclude:
            if _matches(pattern, called):
                return f"exclude {pattern}"
        return None

    def sampling(self, event_type: str, name: str, family: str) -> Sample | None:
        """The entry that says how many users' events of this type are sent."""
        called = (event_type, name, family)
        for sample in self.sample:
            if any(_matches(pattern, called) for pattern in sample.events):
                return sample
        return None

    def odd(self) -> Iterator[str]:
        """Entries that name nothing that is known: newer than the catalog, or typos."""
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
    """Read the document; raises `RulesUnusable` naming each wrong entry."""
    try:
        return Rules.model_validate_json(content)
    except ValidationError as error:
        raise RulesUnusable("rules_unusable", describe(error, "the document")) from None


def is_sampled(distinct_id: str, share: float) -> bool:
    """Whether a user is of the share that is kept; whoever is in 1 % is in 10 %."""
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
    """Only `*` is special: names in Mixpanel have brackets.

    Translated so that no type, however long, makes the matcher go back over it.
    """
    return re.compile(translate(re.sub(r"[\[?]", r"[\g<0>]", pattern)))
