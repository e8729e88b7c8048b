"""Mixpanel's rules for one imported event, with the messages it is known to give.

Source: Mixpanel docs, "Import Events". Where a text is not known, ours says so plainly;
where the docs contradict themselves, `Project` holds the switch.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

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
MAX_EVENT_BYTES = 1_000_000
MAX_INSERT_ID_BYTES = 36
_INSERT_ID = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"
)

type Failure = tuple[str, str]
"""Field and message."""


@dataclass(frozen=True, slots=True)
class Project:
    """What differs between projects, or between two pages of the docs.

    `simplified` is Simplified ID Merge. An event without `$insert_id` fails, or gets
    one of its own that never matches another. `request_geo` takes the location of an
    event without `ip` from the request. `too_many` is the status for more than 2,000
    events; `lenient_answer` is what `strict=0` is answered with.
    """

    simplified: bool = True
    missing_insert_id: Literal["fail", "generate"] = "fail"
    request_geo: bool = True
    hot_shard: int = 200_000
    too_many: Literal[400, 413] = 400
    lenient_answer: Literal["text", "json"] = "text"


def milliseconds(time: int) -> int:
    """Mixpanel takes seconds and milliseconds."""
    return time if time >= MILLISECONDS_FROM else time * 1000


def failure(event: Any, now: float, project: Project) -> Failure | None:
    """The first rule an event breaks; `now` is in epoch seconds."""
    if not isinstance(event, dict) or not isinstance(event.get("properties"), dict):
        return "", "event must be an object with 'event' and 'properties'"
    name = event.get("event")
    if not isinstance(name, str) or not name.strip():
        return "event", "'event' must not be missing or blank"
    properties = event["properties"]
    return (
        _time(properties.get("time"), now)
        or _distinct_id(properties, project)
        or _insert_id(properties.get("$insert_id"), project)
        or _values(properties)
    )


def _time(value: Any, now: float) -> Failure | None:
    field = "properties.time"
    if value is None:
        return field, "'properties.time' is invalid: must not be missing"
    if type(value) is not int:
        text = "must be specified as seconds since epoch"
        return field, f"'properties.time' is invalid: {text}"
    at = milliseconds(value)
    if at < EARLIEST * 1000:
        return field, "'properties.time' is invalid: must not be before 1971"
    if at > (now + HOUR) * 1000:
        return field, "'properties.time' is invalid: must not be in the future"
    return None


def _distinct_id(properties: dict[str, Any], project: Project) -> Failure | None:
    field = "properties.distinct_id"
    value = properties.get("distinct_id")
    if value is None:
        derived = project.simplified and (
            properties.get("$user_id") or properties.get("$device_id")
        )
        if derived:
            return None
        return field, "'properties.distinct_id' is invalid: must not be missing"
    if str(value).lower() in PLACEHOLDERS:
        return field, "'properties.distinct_id' is invalid: is a reserved value"
    return None


def _insert_id(value: Any, project: Project) -> Failure | None:
    if value is None and project.missing_insert_id == "generate":
        return None
    if not isinstance(value, str) or not value:
        return "$insert_id", "'$insert_id' is invalid: must not be missing"
    if len(value.encode(errors="replace")) > MAX_INSERT_ID_BYTES:
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
    # No deeper than the rule needs: a fuzzer's brackets are many.
    if isinstance(value, dict | list) and depth <= MAX_DEPTH + 1:
        yield depth, value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _walk(inner, depth + 1)


def oversized(event: Any) -> Failure | None:
    """One event of 1 MB or more; no smaller body can hold one."""
    compact = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
    if len(compact.encode(errors="replace")) >= MAX_EVENT_BYTES:
        return "", "event must be smaller than 1 MB"
    return None


def not_utf8(event: Any) -> Failure | None:
    """A text that is not UTF-8; only a body that orjson does not read has one."""
    properties = event.get("properties") if isinstance(event, dict) else None
    if isinstance(properties, dict):
        for name, value in properties.items():
            if not _is_utf8([name, value]):
                known = name.encode(errors="replace").decode()
                text = f"properties.{known} is invalid: string should be valid utf8"
                return f"properties.{known}", text
    if not _is_utf8(event):
        return "event", "event is invalid: string should be valid utf8"
    return None


def _is_utf8(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True
