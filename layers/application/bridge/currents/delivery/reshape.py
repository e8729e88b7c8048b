"""A shape that Mixpanel takes, for an event that passes one of its limits (pure).

Mixpanel documents limits that it does not enforce everywhere, so an event is sent as it
is first, and in this shape only after a rejection. It is made for reports: what has a
number beside it was cut, and nothing that fits is changed. Decision 0050.
"""

from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from typing import Any

import orjson

from bridge.currents.mapping.values import parse_json_text
from bridge.mixpanel.import_api import BYTES_PER_EVENT

MAX_ITEMS = 254
"""Mixpanel docs, "Import Events": fewer than 255 properties, keys and elements."""

MAX_DEPTH = 3
"""Objects and lists within each other, the property's own value included."""

MAX_TEXT = 255
"""Characters; Mixpanel cuts a longer text."""

LEFT_OUT_COUNT = "[Braze] Properties left out"
"""The property that says how many did not fit."""

_KEY_PROPERTIES = ("distinct_id", "$insert_id", "time", "$partner_id", "ip")

type Properties = dict[str, Any]


class Limit(StrEnum):
    """What an event can have too much of."""

    PROPERTIES = "properties"
    KEYS = "keys"
    ELEMENTS = "elements"
    DEPTH = "depth"


def count_name(name: str) -> str:
    """Where the full number of a cut list or object stands."""
    return f"{name} (count)"


def passed_limits(properties: Mapping[str, Any]) -> frozenset[Limit]:
    """The limits of Mixpanel that these properties pass."""
    passed = {limit for value in properties.values() for limit in _passed(value, 1)}
    if len(properties) > MAX_ITEMS:
        passed.add(Limit.PROPERTIES)
    return frozenset(passed)


def reshaped_line(
    event: Mapping[str, Any], known: Collection[str], texts: Mapping[str, str]
) -> bytes | None:
    """The same event in a shape that fits, as JSON; None if it is too large that way.

    `known` are the names that are kept before all others. `texts` are properties that
    came as JSON text, with that text: where such a one does not fit, the text is sent.
    """
    properties = event["properties"]
    shaped = _shaped(properties, known, texts)
    line = orjson.dumps({"event": event["event"], "properties": shaped})
    if len(line) < BYTES_PER_EVENT:
        return line
    # JSON within JSON doubles its quotes. Of a text Mixpanel keeps the beginning alone.
    for name, value in shaped.items():
        if isinstance(value, str) and name not in _KEY_PROPERTIES:
            shaped[name] = value[:MAX_TEXT]
    line = orjson.dumps({"event": event["event"], "properties": shaped})
    return line if len(line) < BYTES_PER_EVENT else None


def texts_of(
    event: object, properties: Mapping[str, Any], sources: Mapping[str, Iterable[str]]
) -> dict[str, str]:
    """The texts that properties of a mapped event were parsed from, by their names.

    `event` is Braze's, in either form; `sources` gives the names in Braze under which
    the text of a property may stand. Where rules have changed the value, it is written
    as text anew: the original text may hold what a rule withholds.
    """
    given = event.get("properties") if isinstance(event, dict) else None
    if not isinstance(given, dict):
        given = event if isinstance(event, dict) else {}
    texts: dict[str, str] = {}
    for name in sources.keys() & properties.keys():
        value = properties[name]
        for text in (given.get(source) for source in sources[name]):
            if isinstance(text, str) and isinstance(value, dict | list):
                is_whole = parse_json_text(text) == value
                texts[name] = text if is_whole else _as_text(value)
    return texts


def _shaped(
    properties: Mapping[str, Any], known: Collection[str], texts: Mapping[str, str]
) -> Properties:
    first = [name for name in _KEY_PROPERTIES if name in properties]
    first += [name for name in properties if name in known and name not in first]
    kept = frozenset(first)
    ordered = first + [name for name in properties if name not in kept]
    fitting = [
        (name, *_fit_property(properties[name], texts.get(name))) for name in ordered
    ]
    shaped, left_out = _taken(fitting, MAX_ITEMS)
    if left_out:
        shaped, left_out = _taken(fitting, MAX_ITEMS - 1)
        shaped[LEFT_OUT_COUNT] = left_out
    return shaped


def _fit_property(value: Any, text: str | None) -> tuple[Any, int | None]:
    if text is not None and any(_passed(value, 1)):
        return text, None
    return _fit(value, 1)


def _fit(value: Any, depth: int) -> tuple[Any, int | None]:
    """The value in a shape that fits, and the full number of what was cut from it."""
    if not isinstance(value, dict | list):
        return value, None
    if depth > MAX_DEPTH:
        return _as_text(value), None
    if isinstance(value, list):
        items = [_fit(item, depth + 1)[0] for item in value[:MAX_ITEMS]]
        return items, len(value) if len(value) > MAX_ITEMS else None
    fitting = [(key, *_fit(each, depth + 1)) for key, each in value.items()]
    taken, left_out = _taken(fitting, MAX_ITEMS)
    return taken, len(value) if left_out else None


def _taken(
    fitting: list[tuple[str, Any, int | None]], room: int
) -> tuple[Properties, int]:
    """The first values that fit, each with its full number; and how many do not."""
    names = {name for name, _, _ in fitting}
    taken: Properties = {}
    for at, (name, value, number) in enumerate(fitting):
        has_number = number is not None and count_name(name) not in names
        if len(taken) + 1 + has_number > room:
            return taken, len(fitting) - at
        taken[name] = value
        if has_number:
            taken[count_name(name)] = number
    return taken, 0


def _passed(value: Any, depth: int) -> Iterable[Limit]:
    if not isinstance(value, dict | list):
        return
    if depth > MAX_DEPTH:
        yield Limit.DEPTH
        return
    if len(value) > MAX_ITEMS:
        yield Limit.KEYS if isinstance(value, dict) else Limit.ELEMENTS
    for inner in value.values() if isinstance(value, dict) else value:
        yield from _passed(inner, depth + 1)


def _as_text(value: Any) -> str:
    return orjson.dumps(value).decode()
