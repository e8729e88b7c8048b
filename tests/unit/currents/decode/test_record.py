"""Whatever a producer puts on the stream is read, and poison is put aside alone."""

import gzip
import hashlib
import io
import json
import tracemalloc
import zlib
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.currents.decode.avro import _HEADER as HEADER
from bridge.currents.decode.kpl import MAGIC
from bridge.currents.decode.record import (
    MAX_EVENTS,
    MAX_INFLATED,
    MAX_SEPARATORS,
    decode,
    parse,
)
from bridge.currents.stream.pack import compress, pack
from bridge.errors import MalformedInput
from sandbox.braze.currents import CurrentsSource, avro_file, flat

EVENTS = [{"event_type": "a", "id": str(n), "text": "ü\n"} for n in range(3)]
LINES = [json.dumps(event, indent=n or None).encode() for n, event in enumerate(EVENTS)]
ONE_LINERS = [json.dumps(event).encode() for event in EVENTS]


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


def aggregate(*records: bytes) -> bytes:
    """What the Kinesis Producer Library makes of these user records."""
    message = field(1, b"partition key") + field(2, b"0")
    for record in records:
        # The indexes of both keys, the data, and a tag that nobody reads.
        message += field(3, b"\x08\x00\x10\x00" + field(3, record) + field(4, b""))
    return MAGIC + message + hashlib.md5(message, usedforsecurity=False).digest()


def field(number: int, content: bytes) -> bytes:
    length, size = len(content), b""
    while length >= 0x80:
        size += bytes([length & 0x7F | 0x80])
        length >>= 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + content


def test_each_event_keeps_its_own_bytes() -> None:
    data = b'{"events": [' + b" , ".join(LINES) + b"]}"
    assert [decoded.raw for decoded in decode(data)] == LINES


@pytest.mark.parametrize("codec", ["null", "deflate", "snappy"])
def test_an_avro_container_of_any_codec_is_read(codec: str) -> None:
    source = CurrentsSource(["u"], 1)
    given = [source.event("users.canvas.Entry") for _ in range(300)]
    plain = avro_file("users.canvas.Entry", given)
    assert events(recoded(plain, codec)) == events(plain)
    assert events(aggregate(recoded(plain, codec))) == events(plain)


def recoded(container: bytes, codec: str) -> bytes:
    records = fastavro.reader(io.BytesIO(container))
    content = io.BytesIO()
    schema: Any = records.writer_schema
    fastavro.writer(content, schema, list(records), codec=codec)
    return content.getvalue()


def test_an_avro_container_is_read_with_its_type() -> None:
    source = CurrentsSource(["u"], 1)
    given = [source.event("users.messages.email.Open") for _ in range(3)]
    data = avro_file("users.messages.email.Open", given)
    expected = [
        {"event_type": "users.messages.email.Open"} | flat(event) for event in given
    ]
    assert events(data) == expected


BAD_KPL = "bad_aggregate"


def container(schema: str, codec: str, count: int, block: bytes) -> bytes:
    content = io.BytesIO()
    head = {"magic": b"Obj\x01", "sync": b"s" * 16}
    meta = {"avro.schema": schema.encode(), "avro.codec": codec.encode()}
    fastavro.schemaless_writer(content, HEADER, head | {"meta": meta})
    fastavro.schemaless_writer(content, "long", count)
    fastavro.schemaless_writer(content, "bytes", block)
    return content.getvalue() + b"s" * 16


def deflated(content: bytes) -> bytes:
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    return stream.compress(content) + stream.flush()


RECORD = '{"type": "record", "name": "dataexport.S3.inner.a.b", "fields": %s}'
AVRO_BOMB = container(
    RECORD % '[{"name": "text", "type": "bytes"}]',
    "deflate",
    1,
    deflated(b"\x80\x80\x80\x80\x08" + b"a" * (MAX_INFLATED + 1)),
)
AVRO_OF_NOTHING = container(RECORD % "[]", "null", 2**40, b"")
# 300 levels do no harm yet; 5,000 overflow the stack and end the process.
AVRO_IN_ITSELF = container(
    RECORD % '[{"name": "n", "type": ["null", "dataexport.S3.inner.a.b"]}]',
    "null",
    1,
    b"\x02" * 300 + b"\x00",
)

POISON = {
    "empty": (b"", "empty"),
    "text": (b"not an event", "not_json"),
    "cut JSON": (b'{"event_type": "a', "not_json"),
    "cut gzip": (gzip.compress(b"{}" * 100)[:-9], "bad_gzip"),
    "gzip header alone": (b"\x1f\x8b", "bad_gzip"),
    "Avro header alone": (b"Obj\x01", "bad_avro"),
    "bytes": (b"\xff\xfe\x00", "not_json"),
    "lone surrogate": (b'{"a": "\\ud800"}', "not_json"),
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
def test_poison_is_kept_whole_with_a_reason(kind: str) -> None:
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


def test_one_bad_line_among_good_ones_is_put_aside_alone() -> None:
    data = b"\n".join([ONE_LINERS[0], b'{"broken', ONE_LINERS[2]])
    good, bad, other = decode(data)
    assert (good.event, other.event) == (EVENTS[0], EVENTS[2])
    assert bad.raw == b'{"broken'


SPOILS = {
    "not a value": b"{'event_type': 1}",
    "no number": b'{"price": NaN}',
    "no text": b'{"name": "\xff\xfe"}',
    "lone surrogate": b'{"name": "\\ud800"}',
    "no end of a number": b'{"price": 1e}',
    "deep": b'{"a": ' + b"[" * 3_000 + b"]" * 3_000 + b"}",
    "brackets in a text": b'{"name": "]},{[", "x": }',
    "a bare word": b"oops",
}


@pytest.mark.parametrize("kind", SPOILS)
@pytest.mark.parametrize("form", ["array", "envelope", "lines", "aggregate"])
def test_a_bad_event_is_put_aside_alone_and_its_neighbours_go_on(
    kind: str, form: str
) -> None:
    """B7: the others of the record are as good as they were."""
    rejected = [ONE_LINERS[0], SPOILS[kind], ONE_LINERS[2]]
    data = {
        "array": b"[" + b", ".join(rejected) + b"]",
        "envelope": b'{ "events" : [' + b",".join(rejected) + b"]}",
        "lines": b"\n".join(rejected),
        "aggregate": aggregate(*rejected),
    }[form]
    good, bad, other = decode(data)
    assert (good.event, other.event) == (EVENTS[0], EVENTS[2])
    assert bad.raw == SPOILS[kind]
    assert bad.problem is not None
    assert bad.problem.reason == "not_json"


@pytest.mark.parametrize("opening", [b"[", b'{"events": ['])
def test_of_an_array_that_is_cut_off_the_last_alone_is_bad(opening: bytes) -> None:
    data = opening + b",".join(ONE_LINERS)
    first, second, last = decode(data[:-5])
    assert [first.event, second.event] == EVENTS[:2]
    assert last.problem is not None
    assert last.raw == ONE_LINERS[2][:-5]


@given(
    pieces=st.lists(st.sampled_from([*ONE_LINERS, *SPOILS.values()]), min_size=2),
    envelope=st.booleans(),
)
def test_every_byte_that_came_is_in_an_event_or_put_aside(
    pieces: list[bytes], envelope: bool
) -> None:
    opening, end = (b'{"events":[', b"]}") if envelope else (b"[", b"]")
    found = [decoded.raw for decoded in decode(opening + b",".join(pieces) + end)]
    assert found == pieces


def test_a_damaged_container_gives_what_stands_before_the_damage() -> None:
    source = CurrentsSource(["u"], 1)
    data = avro_file("a.b", [source.event("users.canvas.Entry") for _ in range(400)])
    decoded = list(decode(data[:-40]))
    assert decoded[-1].problem is not None
    assert decoded[-1].raw == data[:-40]


@given(st.binary(max_size=200))
def test_no_bytes_whatever_crash(data: bytes) -> None:
    for decoded in decode(data):
        assert decoded.raw == data or decoded.raw in data


def test_packed_events_are_read_back_byte_for_byte() -> None:
    (record,) = pack(LINES)
    assert [decoded.raw for decoded in decode(record)] == LINES


def test_records_stay_below_the_limit_of_the_stream() -> None:
    import random

    noise = random.Random(1)
    large = [json.dumps(noise.randbytes(300_000).hex()).encode() for _ in range(8)]
    records = list(pack(large))
    assert all(len(record) < 1_048_576 for record in records)
    assert sum(len(events(record)) for record in records) == len(large)


def test_an_event_that_fits_nowhere_is_malformed() -> None:
    import random

    with pytest.raises(MalformedInput, match="exceeds"):
        list(pack([random.Random(1).randbytes(2_000_000).hex().encode()]))


def test_compressing_is_repeatable_at_any_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same file, announced twice, gives the same records."""
    import time

    first = compress(b"abc")
    monkeypatch.setattr(time, "time", lambda: 1.0)
    assert compress(b"abc") == first
    assert first[4:8] == bytes(4), "the field of the time"


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
