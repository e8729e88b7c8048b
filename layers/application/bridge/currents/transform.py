"""One Currents event → one Mixpanel event (pure).

The four values by which Mixpanel de-duplicates (event, distinct_id, time, $insert_id)
are a function of the event and its arrival in the stream alone: any "now" or random id
here would show every retry a second time.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Any

from bridge.braze.currents import CurrentsEvent, read_event
from bridge.currents.catalog import CATALOG, CUSTOM_EVENT
from bridge.currents.properties import (
    FLOAT32,
    JSON_TEXT,
    RENAMED,
    RENAMED_IN_PART,
    UNCHANGED,
    WITHHELD,
    parse_json_text,
    round_float32,
)
from bridge.errors import MalformedInput
from bridge.mixpanel.identifiers import is_placeholder
from bridge.settings import AnonymousUsers

MAPPING_VERSION = "1"
"""Raised when an event that was sent before would get other values than before."""

CUSTOM_EVENT_PREFIX = "[Braze Custom Event]"
OWN_PROPERTIES = {
    "custom_properties": "[Custom event property]",
    "purchase_properties": "[Purchase property]",
}
"""Requirement R12. What separates prefix and name is not documented: a space."""

EARLIEST = 1_262_304_000
"""2010-01-01 in epoch seconds (requirement R7)."""

REDACTED = "[REDACTED]"
DEVICE_PREFIX = "$device:"
_INSERT_ID = re.compile(r"[A-Za-z0-9-]{1,36}")


@dataclass(frozen=True, slots=True)
class Filtered:
    """The event is not sent; `rule` says by which rule."""

    rule: str


@dataclass(frozen=True, slots=True)
class Sent:
    """A Mixpanel event, and what it held that the catalog does not know."""

    event: dict[str, Any]
    drift: tuple[str, ...] = ()


def transform(
    event: object, raw: bytes, arrived: float, anonymous: AnonymousUsers
) -> Sent | Filtered:
    """Map one event; `raw` are its bytes, `arrived` is in epoch seconds.

    Raises `MalformedInput` naming the field.
    """
    currents = read_event(event)
    time = _time(currents.time)
    if time < EARLIEST:
        return Filtered("before_2010")
    distinct_id = _distinct_id(currents, anonymous)
    if isinstance(distinct_id, Filtered):
        return distinct_id
    properties: dict[str, Any] = {
        "$partner_id": "braze",
        "distinct_id": distinct_id,
        "$insert_id": _insert_id(currents.id, raw),
        # A time to come would be overwritten with the time of import, another one at
        # each retry; the arrival is the same at each.
        "time": min(time, int(arrived)),
    }
    if currents.device_id is not None:
        properties["device_id"] = currents.device_id
    unknown = _add_properties(properties, currents)
    name, known = _name(currents)
    if not known:
        unknown.append(currents.type)
    return Sent({"event": name, "properties": properties}, tuple(unknown))


def _time(value: object) -> int:
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return int(value)
        except (ValueError, OverflowError):
            pass
    raise MalformedInput("bad_time", "time must be epoch seconds", field="time")


def _distinct_id(event: CurrentsEvent, anonymous: AnonymousUsers) -> str | Filtered:
    """Requirements R9 and R10; an id that stands for nobody is none."""
    external_id = event.external_user_id
    if external_id is None or external_id == "":
        rule = "no_external_id"
    elif external_id == REDACTED:
        rule = "redacted_external_id"
    elif is_placeholder(str(external_id)):
        rule = "placeholder_external_id"
    else:
        return str(external_id)
    if anonymous is AnonymousUsers.DEVICE:
        device_id = event.device_id or event.user_id
        if device_id and device_id != REDACTED and not is_placeholder(str(device_id)):
            return f"{DEVICE_PREFIX}{device_id}"
    return Filtered(rule)


def _insert_id(event_id: object, raw: bytes) -> str:
    """The event's id if Mixpanel takes it, else a digest of it, or of the bytes."""
    if isinstance(event_id, str) and event_id:
        if _INSERT_ID.fullmatch(event_id) and not is_placeholder(event_id):
            return event_id
        raw = event_id.encode("utf-8", "surrogatepass")
    return sha256(raw).hexdigest()[:36]


def _name(event: CurrentsEvent) -> tuple[str, bool]:
    """The name in Mixpanel, and whether the catalog knows the type."""
    row = CATALOG.get(event.type)
    if row is None:
        return event.type, False
    if row.type == CUSTOM_EVENT:
        name = event.properties.get("name")
        if not isinstance(name, str) or not name.strip():
            raise MalformedInput(
                "no_event_name", "a custom event needs a name", field="properties.name"
            )
        return f"{CUSTOM_EVENT_PREFIX} {name}", True
    return row.name, True


type Rule = str | Callable[[str, object], Iterator[tuple[str, object]]] | None
"""The new name, nothing for what is left out, or what yields names and values."""


@cache
def _plan(event_type: str) -> dict[str, Rule]:
    """What becomes of each known property in events of one type."""
    plan: dict[str, Rule] = {name: name for name in UNCHANGED}
    plan |= RENAMED
    for name, (beginnings, renamed) in RENAMED_IN_PART.items():
        plan[name] = renamed if event_type.startswith(beginnings) else name
    plan |= dict.fromkeys(WITHHELD)
    plan |= dict.fromkeys(FLOAT32, _rounded)
    plan |= dict.fromkeys(JSON_TEXT, _parsed)
    plan |= dict.fromkeys(OWN_PROPERTIES, _own)
    if event_type == CUSTOM_EVENT:
        plan["name"] = None
    return plan


def _add_properties(out: dict[str, Any], event: CurrentsEvent) -> list[str]:
    """Write the properties; the names of those that the catalog does not know."""
    plan = _plan(event.type if event.type in CATALOG else "")
    unknown: list[str] = []
    for name, value in event.properties.items():
        if value is None:
            continue
        rule = plan.get(name, "")
        if rule == "":
            # A field that is newer than the catalog goes through under its own name.
            unknown.append(name)
            if name not in out:
                out[name] = value
        elif isinstance(rule, str):
            out[rule] = value
        elif rule is not None:
            out.update(rule(name, value))
    return unknown


def _rounded(name: str, value: object) -> Iterator[tuple[str, object]]:
    yield name, round_float32(value)


def _parsed(name: str, value: object) -> Iterator[tuple[str, object]]:
    yield name, parse_json_text(value)


def _own(name: str, value: object) -> Iterator[tuple[str, object]]:
    """The customer's own properties, each under its prefix."""
    prefix = OWN_PROPERTIES[name]
    inner = parse_json_text(value)
    if not isinstance(inner, dict):
        yield prefix, inner
        return
    for key, each in inner.items():
        if each is not None:
            yield f"{prefix} {key}", each
