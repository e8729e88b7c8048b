"""Whatever a producer puts on the stream is read, and poison is quarantined alone."""

import gzip
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.currents.decode.kpl import MAGIC
from bridge.currents.decode.record import (
    MAX_EVENTS,
    MAX_INFLATED,
    MAX_SEPARATORS,
    decode,
    parse,
)
from tests.unit.currents.record_bytes import (
    AVRO_BOMB,
    AVRO_IN_ITSELF,
    AVRO_OF_NOTHING,
    EVENTS,
    LINES,
    ONE_LINERS,
    aggregate,
)


def events(data: bytes) -> list[Any]:
    return [decoded.event for decoded in decode(data)]


FORMS = {
    "one event": (LINES[1], EVENTS[1:2]),
    "an array": (b"[" + b",".join(LINES) + b"]", EVENTS),
    "an envelope": (b'{"events": [' + b", ".join(LINES) + b"]}", EVENTS),
    "lines": (b"\n".join(ONE_LINERS) + b"\n", EVENTS),
    "an empty envelope": (b'{"events": []}', []),
    "envelopes, a line each": (
        b"\n".join(b'{"events": [' + line + b"]}" for line in ONE_LINERS),
        EVENTS,
    ),
    "arrays, a line each": (
        b"[" + ONE_LINERS[0] + b"]\r\n[" + b",".join(ONE_LINERS[1:]) + b"]",
        EVENTS,
    ),
    "events without anything between": (b"".join(ONE_LINERS), EVENTS),
    "a byte order mark": (b"\xef\xbb\xbf" + LINES[1], EVENTS[1:2]),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_every_form_is_read_plain_gzipped_and_aggregated(
    form: str, zipped: bool, packed: bool
) -> None:
    data, expected = FORMS[form]
    data = gzip.compress(data) if zipped else data
    if packed:
        assert events(aggregate(data, ONE_LINERS[0])) == [*expected, EVENTS[0]]
    else:
        assert events(data) == expected


def test_each_event_keeps_its_own_bytes() -> None:
    data = b'{"events": [' + b" , ".join(LINES) + b"]}"
    assert [decoded.raw for decoded in decode(data)] == LINES


BAD_KPL = "bad_aggregate"


POISON = {
    "empty": (b"", "empty"),
    "text": (b"not an event", "not_json"),
    "cut JSON": (b'{"event_type": "a', "not_json"),
    "cut gzip": (gzip.compress(b"{}" * 100)[:-9], "bad_gzip"),
    "gzip header alone": (b"\x1f\x8b", "bad_gzip"),
    "Avro header alone": (b"Obj\x01", "bad_avro"),
    "bytes": (b"\xff\xfe\x00", "not_json"),
    "deep": (b"[" * 100_000, "not_json"),
    "bomb": (gzip.compress(b"a" * (MAX_INFLATED + 1)), "too_large"),
    "bomb of many streams": (gzip.compress(b"a" * 1_000_000) * 65, "too_large"),
    "gzip within gzip": (gzip.compress(gzip.compress(b"{}")), "not_json"),
    "long number": (b'{"a": ' + b"9" * 5_000 + b".}", "not_json"),
    "3 MB": (b"a" * 3_000_000, "not_json"),
    "3 MB of quotes": (b'{"' + b'\\"' * 1_500_000, "not_json"),
    "aggregate with another digest": (aggregate(ONE_LINERS[0])[:-1] + b"x", BAD_KPL),
    "aggregate that is cut": (aggregate(ONE_LINERS[0])[:-20], BAD_KPL),
    "magic alone": (MAGIC, BAD_KPL),
    "Avro bomb": (AVRO_BOMB, "too_large"),
    "Avro of no bytes": (AVRO_OF_NOTHING, "bad_avro"),
    "Avro that contains itself": (AVRO_IN_ITSELF, "bad_avro"),
}


@pytest.mark.parametrize("kind", POISON)
def test_poison_is_one_item_with_all_its_bytes_and_a_reason(kind: str) -> None:
    data, reason = POISON[kind]
    (decoded,) = decode(data)
    assert decoded.problem is not None
    assert (decoded.raw, decoded.problem.reason) == (data, reason)


@pytest.mark.parametrize("kind", ["bomb", "Avro bomb", "bomb of many streams"])
def test_a_bomb_is_not_inflated_further_than_the_limit(kind: str) -> None:
    tracemalloc.start()
    try:
        list(decode(POISON[kind][0]))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MAX_INFLATED * 1.6


@given(st.binary(max_size=200))
def test_no_bytes_whatever_crash(data: bytes) -> None:
    for decoded in decode(data):
        assert decoded.raw == data or decoded.raw in data


@pytest.mark.parametrize(
    "content",
    [
        b"[" + b"0," * MAX_EVENTS + b"0]",
        b'{"events":[' + b"0," * MAX_EVENTS + b"0]}",
        b"[" + b"0," * MAX_SEPARATORS + b"0]",
        b"0\n".join([b"["] * (MAX_SEPARATORS + 2)),
    ],
    ids=["array", "envelope", "commas", "lines"],
)
def test_a_bomb_of_tiny_events_is_one_item(content: bytes) -> None:
    record = gzip.compress(content, 1)
    assert parse(record) is None
    (item,) = decode(record)
    assert item.problem is not None
    assert item.problem.reason == "too_many"
    assert item.raw == record


@pytest.mark.parametrize(
    "data",
    [
        b'{"events":[{"a":1}],"events":[{"b":2},{"c":3}]}',
        b'{"ev\\u0065nts":[{"a":1}]}',
        b'{"events":null}',
        b'{"events":{"a":1}}',
        b' \n[1, {"a": 2}, [3], "x", null]\n ',
        b'[{"a":1,"a":2}]',
        b'[{"a":123456789012345678901234567890, "b":-0.0, "c":1E5}]',
        b"[]",
        b'{"events":[]}',
        b"{}",
        b'[{"a":' + b"[" * 1000 + b"]" * 1000 + b"}, {}]",
    ],
)
def test_what_is_parsed_at_once_is_what_is_found_piece_by_piece(data: bytes) -> None:
    pieces = list(decode(data))
    assert parse(data) == [piece.event for piece in pieces]
    assert not any(piece.problem for piece in pieces)


@pytest.mark.parametrize(
    "data", [b"", b"5", b'"x"', b"[1", b"[1]\n[2]", b"\xef\xbb\xbf[1]", b"\x1f\x8bno"]
)
def test_what_is_no_json_document_of_events_is_not_parsed_at_once(data: bytes) -> None:
    assert parse(data) is None
