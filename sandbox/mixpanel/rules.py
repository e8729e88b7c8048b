"""Mixpanel's rules for one imported event, with the messages it is known to give.

Source: Mixpanel docs, "Import Events". Where a text is not known, ours says so plainly.
"""

from collections.abc import Iterator
from typing import Any

PLACEHOLDERS = frozenset(
    [
        *("00000000-0000-0000-0000-000000000000", "anon", "anonymous", "nil", "none"),
        *("null", "n/a", "na", "undefined", "unknown", "<nil>", "0", "-1", "true"),
        *("false", "[]", "{}", "lmy47d"),
    ]
)
IDENTITY_EVENTS = frozenset({"$identify", "$create_alias", "$merge"})
EARLIEST = 31_536_000  # 1971-01-01
HOUR = 3600
MILLISECONDS_FROM = 100_000_000_000
MAX_PROPERTIES = 255
MAX_DEPTH = 3
MAX_TEXT = 255
MAX_EVENT_BYTES = 1_000_000
_INSERT_ID = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"
)

type Failure = tuple[str, str]
"""Field and message."""


def seconds(time: float) -> float:
    """Mixpanel takes seconds and milliseconds."""
    return time / 1000 if time >= MILLISECONDS_FROM else time


def failure(event: Any, now: float) -> Failure | None:
    """The first rule an event breaks; `now` is in epoch seconds."""
    if not isinstance(event, dict) or not isinstance(event.get("properties"), dict):
        return "", "event must be an object with 'event' and 'properties'"
    name = event.get("event")
    if not isinstance(name, str) or not name.strip():
        return "event", "'event' must not be missing or blank"
    properties = event["properties"]
    return (
        _time(properties.get("time"), now)
        or _distinct_id(properties)
        or _insert_id(properties.get("$insert_id"))
        or _values(properties)
    )


def _time(value: Any, now: float) -> Failure | None:
    field = "properties.time"
    if value is None:
        return field, "'properties.time' is invalid: must not be missing"
    if not isinstance(value, int) or isinstance(value, bool):
        text = "must be specified as seconds since epoch"
        return field, f"'properties.time' is invalid: {text}"
    if seconds(value) < EARLIEST:
        return field, "'properties.time' is invalid: must not be before 1971"
    if seconds(value) > now + HOUR:
        return field, "'properties.time' is invalid: must not be in the future"
    return None


def _distinct_id(properties: dict[str, Any]) -> Failure | None:
    field = "properties.distinct_id"
    value = properties.get("distinct_id")
    if value is None:
        if "$user_id" in properties or "$device_id" in properties:
            return None
        return field, "'properties.distinct_id' is invalid: must not be missing"
    if str(value).lower() in PLACEHOLDERS:
        return field, "'properties.distinct_id' is invalid: is a reserved value"
    return None


def _insert_id(value: Any) -> Failure | None:
    if not isinstance(value, str) or not value:
        return "$insert_id", "'$insert_id' is invalid: must not be missing"
    if len(value.encode()) > 36:
        return "$insert_id", "'$insert_id' is invalid: must be at most 36 bytes"
    if not _INSERT_ID.issuperset(value):
        return "$insert_id", (
            "'$insert_id' is invalid: must only contain alphanumeric or hyphen '-' "
            "characters"
        )
    if value.lower() in PLACEHOLDERS:
        return "$insert_id", "'$insert_id' is invalid: is a reserved value"
    return None


def _values(properties: dict[str, Any]) -> Failure | None:
    if len(properties) >= MAX_PROPERTIES:
        return "properties", "must have fewer than 255 properties"
    for name, value in properties.items():
        if isinstance(value, dict | list):
            for depth, inner in _walk(value, 1):
                if len(inner) >= MAX_PROPERTIES or depth > MAX_DEPTH:
                    return f"properties.{name}", "is too large or nested too deeply"
    return None


def _walk(value: Any, depth: int) -> Iterator[tuple[int, Any]]:
    if isinstance(value, dict | list):
        yield depth, value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _walk(inner, depth + 1)


def ingested(properties: dict[str, Any], now: float) -> dict[str, Any]:
    """The properties as they are stored: times to come become now, texts are cut."""
    stored: dict[str, Any] = {
        name: value[:MAX_TEXT]
        if isinstance(value, str) and len(value) > MAX_TEXT
        else value
        for name, value in properties.items()
    }
    if seconds(stored["time"]) > now:
        stored["time"] = int(now)
    if stored.get("ip") is not None:
        del stored["ip"]
    stored["$import"] = True
    return stored
