"""Which Avro schemas are safe to read by (pure).

fastavro recurses in C: a record within itself, one byte a level, overflows the stack
and crashes the process. And values that take no bytes can occur in any number: in types
that double at each level, or in an array of nulls.
"""

import json
from typing import Any, NamedTuple

from bridge.errors import MalformedInput
from bridge.reasons import Reason

MAX_DEPTH = 32
"""Levels of nesting, references followed; an event of Braze's has three."""

MAX_TYPES = 10_000
"""Types, counted at each use; the largest event has some hundred."""

_PRIMITIVES = frozenset(
    {"null", "boolean", "int", "long", "float", "double", "bytes", "string"}
)


class _Measure(NamedTuple):
    """The size of a type and all within it; `is_empty` if a value can take no bytes."""

    depth: int
    types: int
    is_empty: bool


def check_schema(text: bytes) -> None:
    """Raise `MalformedInput` if the text is no schema, or an unsafe one."""
    try:
        # Parsed as fastavro does it, so that both see the same schema.
        schema = json.loads(text.decode())
        _measure(schema, {}, 1)
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        raise _unsafe("is no Avro schema") from None


def _measure(schema: Any, known: dict[str, _Measure], level: int) -> _Measure:
    if level > MAX_DEPTH:
        raise _unsafe("is nested too deep")
    if isinstance(schema, str):
        if schema in _PRIMITIVES:
            return _Measure(1, 1, schema == "null")
        if _last(schema) not in known:
            # A type that is still incomplete here would contain itself.
            raise _unsafe("uses a type that is not defined before")
        return known[_last(schema)]
    if isinstance(schema, list):
        return _around([_measure(each, known, level + 1) for each in schema], False)
    if "__named_schemas" in schema:
        raise _unsafe("has types beside it")  # fastavro would trust them unseen
    kind = schema["type"]
    if kind == "array":
        items = _measure(schema["items"], known, level + 1)
        if items.is_empty:
            raise _unsafe("has an array of nothing")
        return _around([items], False)
    if kind == "map":
        return _around([_measure(schema["values"], known, level + 1)], False)
    if kind not in ("record", "error", "enum", "fixed"):
        return _measure(kind, known, level + 1)
    # Known by the last part of the name; of two types that share it, the larger.
    name = _last(schema["name"])
    other = known.pop(name, _Measure(0, 0, False))
    if kind in ("record", "error"):
        fields = [_measure(each["type"], known, level + 1) for each in schema["fields"]]
        measured = _around(fields, all(field.is_empty for field in fields))
    else:
        measured = _Measure(1, 1, kind == "fixed" and not schema["size"])
    known[name] = _Measure(
        max(measured.depth, other.depth),
        max(measured.types, other.types),
        measured.is_empty or other.is_empty,
    )
    return measured


def _around(inside: list[_Measure], is_empty: bool) -> _Measure:
    depth = 1 + max((each.depth for each in inside), default=0)
    types = 1 + sum(each.types for each in inside)
    if depth > MAX_DEPTH or types > MAX_TYPES:
        raise _unsafe("is too large")
    return _Measure(depth, types, is_empty)


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _unsafe(why: str) -> MalformedInput:
    return MalformedInput(Reason.BAD_AVRO, f"the schema {why}")
