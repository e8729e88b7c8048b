"""The wire of Currents: one event in its nested HTTP form or its flat storage form.

Source: Braze docs, "Custom HTTP Connector" and "Currents data storage". Over HTTP the
user's ids are under `user` and the rest under `properties`; in storage all keys are at
one level, and the file determines the type. Both are read into one `CurrentsEvent`.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from bridge.errors import MalformedInput
from bridge.reasons import Reason

_RECORD_NAME = re.compile(r"^dataexport\.\w+\.inner\.(?P<type>.+)$")
_EVENT_TYPE = re.compile(r"(?:^|/)event_type=(?P<type>[^/]+)/")
NESTED_KEYS = frozenset({"event_type", "id", "time", "user", "properties"})
USER_KEYS = frozenset({"external_user_id", "user_id", "device_id", "timezone"})
FLAT_KEYS = frozenset({"event_type", "id", "time"}) | USER_KEYS
"""Keys of an event in the flat form that are no properties."""

FLAT_PROPERTIES = {
    "users.behaviors.CustomEvent": "custom_properties",
    "users.behaviors.Purchase": "purchase_properties",
}
"""The customer's own properties, which storage holds in one text, `properties`."""

type Json = Mapping[str, Any]


class CurrentsEvent(NamedTuple):
    """One event of either form, its values still unchecked.

    In the flat form `properties` is the whole event, FLAT_KEYS included; `others` holds
    keys of the nested form that this module does not know.
    """

    type: str
    id: object
    time: object
    external_user_id: object
    user_id: object
    device_id: object
    properties: Json
    is_flat: bool
    others: Json


_NONE: Json = {}


def read_event(event: object) -> CurrentsEvent:
    """Read an event of either form; raises `MalformedInput` naming the field."""
    if not isinstance(event, dict):
        raise MalformedInput(Reason.NOT_AN_OBJECT, "an event must be a JSON object")
    get = event.get
    event_type = get("event_type")
    if not isinstance(event_type, str) or not event_type:
        raise MalformedInput(
            Reason.NO_EVENT_TYPE, "the event has no event_type", field="event_type"
        )
    properties = get("properties")
    is_flat = not ("user" in event or isinstance(properties, dict))
    user = event if is_flat else get("user") or _NONE
    if is_flat:
        properties = event
    elif properties is None:
        properties = _NONE
    if not isinstance(user, dict) or not isinstance(properties, dict):
        field = "properties" if isinstance(user, dict) else "user"
        raise MalformedInput(
            Reason.NOT_AN_OBJECT, f"{field} must be an object", field=field
        )
    others = _NONE
    if not is_flat and not (
        NESTED_KEYS.issuperset(event) and USER_KEYS.issuperset(user)
    ):
        others = {key: user[key] for key in user if key not in USER_KEYS} | {
            key: event[key] for key in event if key not in NESTED_KEYS
        }
    of_user = user.get
    return CurrentsEvent(
        event_type,
        get("id"),
        get("time"),
        of_user("external_user_id"),
        of_user("user_id"),
        of_user("device_id"),
        properties,
        is_flat,
        others,
    )


def event_type_of(key: str, record_name: str) -> str:
    """The event type of a storage file, from its key's `event_type=` or its schema.

    Raises `MalformedInput` if neither names one. Braze may change the layout of the
    key, so it is searched and not parsed by position.
    """
    by_key = _EVENT_TYPE.search(key)
    by_name = _RECORD_NAME.match(record_name)
    named = by_key or by_name
    if not named:
        raise MalformedInput(
            Reason.NO_EVENT_TYPE, "neither key nor schema names a type"
        )
    return named["type"]
