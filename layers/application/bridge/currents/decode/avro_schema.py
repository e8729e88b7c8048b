"""Which Avro schemas are read at all (pure).

fastavro reads by recursion in C: a record within itself, one byte a level, overflows
the stack, and with it goes the process. And what takes no bytes can be there any number
of times: a type within two others, these within four more, or an array of nulls.
"""

import json
from typing import Any, NamedTuple

from bridge.errors import MalformedInput

MAX_DEPTH = 32
"""Levels, names followed; an event of Braze's has three."""

MAX_TYPES = 10_000
"""Types, each as often as it is used; the largest event has some hundred."""

_PRIMITIVES = frozenset(
    {"null", "boolean", "int", "long", "float", "double", "bytes", "string"}
)


class _Measure(NamedTuple):
    """Of a type with all inside it; `is_empty` if a value may take no bytes."""

    depth: int
    types: int
    is_empty: bool


def check_schema(text: bytes) -> None:
    """Raises `MalformedInput` if the schema is none, or none to read by."""
    try:
        # As fastavro does it, so that both see the same.
        schema = json.loads(text.decode())
        _measure(schema, {}, 1)
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        raise _refused("is none") from None


def _measure(schema: Any, known: dict[str, _Measure], level: int) -> _Measure:
    if level > MAX_DEPTH:
        raise _refused("is nested too deep")
    if isinstance(schema, str):
        if schema in _PRIMITIVES:
            return _Measure(1, 1, schema == "null")
        if _last(schema) not in known:
            # It may be one that is not complete yet: a type within itself.
            raise _refused("uses a type that is not defined before")
        return known[_last(schema)]
    if isinstance(schema, list):
        return _around([_measure(each, known, level + 1) for each in schema], False)
    if "__named_schemas" in schema:
        raise _refused("brings types along")  # fastavro would take them unseen
    kind = schema["type"]
    if kind == "array":
        items = _measure(schema["items"], known, level + 1)
        if items.is_empty:
            raise _refused("has an array of nothing")
        return _around([items], False)
    if kind == "map":
        return _around([_measure(schema["values"], known, level + 1)], False)
    if kind not in ("record", "error", "enum", "fixed"):
        return _measure(kind, known, level + 1)
    # By the last part alone: of two types that share it, the larger one counts.
    name = _last(schema["name"])
    other = known.pop(name, _Measure(0, 0, False))
    if kind in ("record", "error"):
        fields = [_measure(each["type"], known, level + 1) for each in schema["fields"]]
        made = _around(fields, all(field.is_empty for field in fields))
    else:
        made = _Measure(1, 1, kind == "fixed" and not schema["size"])
    known[name] = _Measure(
        max(made.depth, other.depth),
        max(made.types, other.types),
        made.is_empty or other.is_empty,
    )
    return made


def _around(inside: list[_Measure], is_empty: bool) -> _Measure:
    depth = 1 + max((each.depth for each in inside), default=0)
    types = 1 + sum(each.types for each in inside)
    if depth > MAX_DEPTH or types > MAX_TYPES:
        raise _refused("is too large")
    return _Measure(depth, types, is_empty)


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _refused(why: str) -> MalformedInput:
    return MalformedInput("bad_avro", f"the schema {why}")
