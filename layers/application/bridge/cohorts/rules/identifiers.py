"""Which identifier a Mixpanel member has in Braze (requirements R4 to R6; pure).

The entries of an ordered list are tried in turn and the first usable identifier is
taken: one per member, because Braze rejects an object with two. Values are trimmed.
Blank ones and placeholders are not identifiers: "unknown" would put every anonymous
visitor into one profile.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from bridge.errors import BridgeError
from bridge.mixpanel.distinct_ids import DEVICE_PREFIX, is_placeholder
from bridge.reasons import Reason

MAX_EXTERNAL_ID_BYTES = 987
MAX_ALIAS_BYTES = 236
"""Braze, "User attributes object": fewer than 988 bytes; aliases likewise."""

MAX_DISTINCT_ID_BYTES = 1024
DISTINCT_ID_KEYS = ("mixpanel_distinct_id", "$distinct_id")


EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
PHONE = re.compile(r"\+?[1-9][0-9]{6,14}")
"""E.164, as Braze stores phone numbers; Mixpanel may lack the plus of a number."""


class Kind(StrEnum):
    """The kinds of identifier; the ledger marks each with its letter."""

    EXTERNAL_ID = "e"
    ALIAS = "a"
    DEVICE = "d"
    EMAIL = "m"
    PHONE = "p"


ATTRIBUTE_ROUTE_ONLY = frozenset({Kind.EMAIL, Kind.PHONE})
"""Braze's cohort import takes external ids, aliases and devices."""

KINDS = {
    "external_id": Kind.EXTERNAL_ID,
    "alias": Kind.ALIAS,
    "device": Kind.DEVICE,
    "email": Kind.EMAIL,
    "phone": Kind.PHONE,
}
"""By the word that the setting IDENTIFIERS has for it."""


@dataclass(frozen=True, slots=True, order=True)
class Identifier:
    """A user in Braze; `label` only for an alias."""

    kind: Kind
    value: str
    label: str = ""

    @property
    def key(self) -> str:
        """Unique text of the identifier; the ledger sorts by it."""
        if self.kind is Kind.ALIAS:
            return f"a:{len(self.label)}:{self.label}:{self.value}"
        return f"{self.kind.value}:{self.value}"

    @classmethod
    def from_key(cls, key: str) -> "Identifier":
        """The inverse of `key`."""
        mark, _, rest = key.partition(":")
        if mark != Kind.ALIAS.value:
            return cls(Kind(mark), rest)
        length, _, rest = rest.partition(":")
        cut = int(length)
        return cls(Kind.ALIAS, rest[cut + 1 :], rest[:cut])


@dataclass(frozen=True, slots=True)
class Source:
    """One entry of the list: the property to read, and the kind of its value."""

    kind: Kind
    property: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Matched:
    """A member with an identifier; `distinct_id` is its Mixpanel profile.

    `entry` is the position in the list of what gave the identifier.
    """

    distinct_id: str
    identifier: Identifier
    entry: int = 0


@dataclass(frozen=True, slots=True)
class Skipped:
    """A member without an identifier, and the reason.

    `distinct_id` is its Mixpanel profile, empty where the member names none.
    """

    reason: str
    distinct_id: str = ""


class IdentifiersError(BridgeError):
    """The setting IDENTIFIERS cannot be understood."""


def parse_sources(text: str, *, partner: bool = False) -> tuple[Source, ...]:
    """Read `external_id=PROPERTY`, `alias:LABEL=PROPERTY`, `device=PROPERTY`, ….

    Raises `IdentifiersError` naming the entry, also one that the `partner` route, if it
    is used, does not take.
    """
    return tuple(_source(entry.strip(), partner) for entry in text.split(","))


def _source(entry: str, partner: bool) -> Source:
    how, equals, name = entry.partition("=")
    word, _, label = how.partition(":")
    kind = KINDS.get(word)
    if kind is None or not (equals and name) or (kind is Kind.ALIAS) != bool(label):
        raise IdentifiersError(
            Reason.IDENTIFIERS,
            f"IDENTIFIERS: {entry!r} is not external_id=PROPERTY, "
            "alias:LABEL=PROPERTY, device=PROPERTY, email=PROPERTY or phone=PROPERTY",
        )
    if partner and kind in ATTRIBUTE_ROUTE_ONLY:
        raise IdentifiersError(
            Reason.IDENTIFIERS,
            f"IDENTIFIERS: {entry!r}: Braze's cohort import takes no {word}; leave the "
            "entry out, or use the attribute route",
        )
    return Source(kind, name, label)


def match_member(member: object, sources: tuple[Source, ...]) -> Matched | Skipped:
    """Find the identifier of one member of a page.

    The reason of a `Skipped` is the last one met in the list.
    """
    if not isinstance(member, Mapping):
        return Skipped(Reason.NOT_AN_OBJECT)
    reason: str = Reason.NO_IDENTIFIER
    for entry, source in enumerate(sources):
        value = member.get(source.property)
        found = identify(source.kind, value, source.label)
        if isinstance(found, Identifier):
            return Matched(_distinct_id(member) or found.value, found, entry)
        reason = found or reason
    return Skipped(reason, _distinct_id(member))


def identify(kind: Kind, value: object, label: str = "") -> Identifier | str | None:
    """The identifier, or the reason the value is none; None without a value."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is None:
        return None
    if not isinstance(value, str):
        return Reason.NOT_TEXT
    value = value.strip()
    if kind in {Kind.EXTERNAL_ID, Kind.DEVICE} and value.startswith(DEVICE_PREFIX):
        # Simplified id merge: an anonymous profile's distinct id is its device.
        kind, value = Kind.DEVICE, value.removeprefix(DEVICE_PREFIX).strip()
    if not value:
        return None
    if is_placeholder(value):
        return Reason.PLACEHOLDER_IDENTIFIER
    if kind is Kind.EMAIL and not EMAIL.fullmatch(value):
        return Reason.INVALID_EMAIL
    if kind is Kind.PHONE and not PHONE.fullmatch(value):
        return Reason.INVALID_PHONE
    limit = MAX_ALIAS_BYTES if kind is Kind.ALIAS else MAX_EXTERNAL_ID_BYTES
    label = label if kind is Kind.ALIAS else ""
    try:
        length, label_length = len(value.encode()), len(label.encode())
    except UnicodeEncodeError:
        return Reason.INVALID_TEXT
    if length > limit or label_length > MAX_ALIAS_BYTES:
        return Reason.IDENTIFIER_TOO_LONG
    return Identifier(kind, value, label)


def _distinct_id(member: Mapping[str, object]) -> str:
    for key in DISTINCT_ID_KEYS:
        value = _as_text(member.get(key))
        if value.strip() and _fits(value) and not is_placeholder(value):
            return value
    return ""


def _as_text(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else ""


def _fits(value: str) -> bool:
    try:
        return len(value.encode()) <= MAX_DISTINCT_ID_BYTES
    except UnicodeEncodeError:
        return False
