"""No Avro schema makes its reader recurse or loop without end."""

import io
import json
from typing import Any

import fastavro
import pytest

from bridge.currents.decode.avro import read_events
from bridge.currents.decode.avro_schema import MAX_DEPTH, MAX_TYPES, check_schema
from bridge.errors import MalformedInput


def record(name: str, *types: Any) -> dict[str, Any]:
    fields = [{"name": f"f{n}", "type": each} for n, each in enumerate(types)]
    return {"type": "record", "name": name, "fields": fields}


def arrays(depth: int) -> str:
    return '{"type": "array", "items": ' * depth + '"int"' + "}" * depth


def chain(length: int, times: int, leaf: str) -> dict[str, Any]:
    """Records that are not nested, but each uses the one before, `times` times."""
    links = [record("R0", leaf)]
    links += [record(f"R{n}", *[f"R{n - 1}"] * times) for n in range(1, length)]
    return record("Top", *links)


REJECTED = {
    "a record within itself": record("a.T", ["null", "a.T"]),
    "without its namespace": record("a.T", ["null", "T"]),
    "in an array": record("T", {"type": "array", "items": "T"}),
    "in a map": record("T", {"type": "map", "values": "T"}),
    "through another": record("A", record("B", ["null", "A"])),
    "one that shares its name": record(
        "Top", record("b.T", "int"), record("a.T", ["null", "a.T"])
    ),
    "types that fastavro takes unseen": record("a.T", "int", "b.T")
    | {"__fastavro_parsed": True, "__named_schemas": {"b.T": record("b.T", "b.T")}},
    "a chain of names": chain(MAX_DEPTH, 1, "int"),
    "a tree of names": chain(20, 2, "null"),
    "too many types": record("T", *["int"] * MAX_TYPES),
    "an array of nulls": record("T", {"type": "array", "items": "null"}),
    "an array of empty records": record("T", {"type": "array", "items": record("E")}),
    "an array of empty bytes": record(
        "T", {"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}}
    ),
    "no type": {"name": "T"},
    "a number": 5,
}


@pytest.mark.parametrize("kind", REJECTED)
def test_h2_a_schema_that_never_ends_is_rejected(kind: str) -> None:
    with pytest.raises(MalformedInput) as caught:
        check_schema(json.dumps(REJECTED[kind]).encode())
    assert caught.value.reason == "bad_avro"


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", arrays(60_000).encode()])
def test_h2_what_is_no_schema_is_rejected(text: bytes) -> None:
    with pytest.raises(MalformedInput) as caught:
        check_schema(text)
    assert caught.value.reason == "bad_avro"


def test_h2_a_schema_is_nested_to_the_limit_and_no_deeper() -> None:
    check_schema(arrays(MAX_DEPTH - 1).encode())
    with pytest.raises(MalformedInput, match="nested too deep"):
        check_schema(arrays(MAX_DEPTH).encode())


ALLOWED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a name used twice": (
        record("a.T", record("a.Inner", "int"), "a.Inner", ["null", "Inner"]),
        {"f0": {"f0": 1}, "f1": {"f0": 2}, "f2": {"f0": 3}},
    ),
    "an enum and a fixed": (
        record(
            "T",
            {"type": "enum", "name": "E", "symbols": ["a", "b"]},
            {"type": "fixed", "name": "F", "size": 2},
            {"type": "array", "items": "E"},
            {"type": "map", "values": {"type": "array", "items": ["null", "long"]}},
        ),
        {"f0": "b", "f1": b"xy", "f2": ["a"], "f3": {"k": [1, None]}},
    ),
    "a type with more about it": (
        record("T", {"type": "string", "avro.java.string": "String"}, "null"),
        {"f0": "x", "f1": None},
    ),
}


@pytest.mark.parametrize("kind", ALLOWED)
def test_other_schemas_are_read(kind: str) -> None:
    schema, event = ALLOWED[kind]
    content = io.BytesIO()
    fastavro.writer(content, schema, [event] * 3)
    content.seek(0)
    found = list(read_events("x/event_type=a.b/date=1/a.avro", content))
    assert found == [{"event_type": "a.b"} | event] * 3
