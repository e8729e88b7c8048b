"""The wire of Currents: one event in its nested HTTP form or its flat storage form.

Source: Braze docs, "Custom HTTP Connector" and "Currents data storage". Over HTTP the
user's ids stand under `user` and the rest under `properties`; in storage all keys stand
side by side, and the type is known from the file. Both become one `CurrentsEvent`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bridge.errors import MalformedInput

_RECORD_NAME = re.compile(r"^dataexport\.\w+\.inner\.(?P<type>.+)$")
_EVENT_TYPE = re.compile(r"(?:^|/)event_type=(?P<type>[^/]+)/")
_FLAT_KEYS = frozenset(
    {"event_type", "id", "time", "user_id", "external_user_id", "timezone"}
)
# In storage a custom event and a purchase have their own properties in one text.
_FLAT_PROPERTIES = {
    "users.behaviors.CustomEvent": "custom_properties",
    "users.behaviors.Purchase": "purchase_properties",
}

type Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CurrentsEvent:
    """One event; `properties` may hold None, `user` holds ids alone."""

    type: str
    id: object
    time: object
    external_user_id: object
    user_id: object
    device_id: object
    properties: Json


def read_event(event: object) -> CurrentsEvent:
    """Read either form; raises `MalformedInput` naming the field."""
    if not isinstance(event, dict):
        raise MalformedInput("not_an_object", "an event must be a JSON object")
    event_type = event.get("event_type")
    if not isinstance(event_type, str) or not event_type:
        raise MalformedInput(
            "no_event_type", "the event has no event_type", field="event_type"
        )
    properties = event.get("properties")
    if "user" in event or isinstance(properties, dict):
        return _nested(event_type, event, properties)
    return _flat(event_type, event)


def _nested(event_type: str, event: Json, properties: object) -> CurrentsEvent:
    user = event.get("user") or {}
    if properties is None:
        properties = {}
    if not isinstance(user, dict) or not isinstance(properties, dict):
        field = "properties" if isinstance(user, dict) else "user"
        raise MalformedInput("not_an_object", f"{field} must be an object", field=field)
    return CurrentsEvent(
        event_type,
        event.get("id"),
        event.get("time"),
        user.get("external_user_id"),
        user.get("user_id"),
        user.get("device_id"),
        properties,
    )


def _flat(event_type: str, event: Json) -> CurrentsEvent:
    inner = _FLAT_PROPERTIES.get(event_type)
    properties = {
        (inner if inner and key == "properties" else key): value
        for key, value in event.items()
        if key not in _FLAT_KEYS
    }
    device_id = properties.pop("device_id", None)
    return CurrentsEvent(
        event_type,
        event.get("id"),
        event.get("time"),
        event.get("external_user_id"),
        event.get("user_id"),
        device_id,
        properties,
    )


def event_type_of(key: str, record_name: str) -> str:
    """The event type of a storage file, by its key's `event_type=` or its schema.

    Raises `MalformedInput`. The layout of the key may change, so it is not parsed by
    position.
    """
    by_key = _EVENT_TYPE.search(key)
    by_name = _RECORD_NAME.match(record_name)
    found = by_key or by_name
    if not found:
        raise MalformedInput("no_event_type", "neither key nor schema names a type")
    return found["type"]
