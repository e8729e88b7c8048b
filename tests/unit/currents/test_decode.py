"""Whatever a producer puts on the stream is read, and poison is put aside alone."""

import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.currents.decode import MAX_INFLATED, decode
from bridge.currents.pack import compress, pack
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
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("zipped", [False, True])
def test_every_form_is_read_plain_and_gzipped(form: str, zipped: bool) -> None:
    data, expected = FORMS[form]
    assert events(gzip.compress(data) if zipped else data) == expected


def test_each_event_keeps_its_own_bytes() -> None:
    data = b'{"events": [' + b" , ".join(LINES) + b"]}"
    assert [decoded.raw for decoded in decode(data)] == LINES


def test_an_avro_container_is_read_with_its_type() -> None:
    source = CurrentsSource(["u"], 1)
    given = [source.event("users.messages.email.Open") for _ in range(3)]
    data = avro_file("users.messages.email.Open", given)
    expected = [
        {"event_type": "users.messages.email.Open"} | flat(event) for event in given
    ]
    assert events(data) == expected


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
}


@pytest.mark.parametrize("kind", POISON)
def test_poison_is_kept_whole_with_a_reason(kind: str) -> None:
    data, reason = POISON[kind]
    (decoded,) = decode(data)
    assert decoded.problem is not None
    assert (decoded.raw, decoded.problem.reason) == (data, reason)


def test_one_bad_line_among_good_ones_is_put_aside_alone() -> None:
    data = b"\n".join([ONE_LINERS[0], b'{"broken', ONE_LINERS[2]])
    good, bad, other = decode(data)
    assert (good.event, other.event) == (EVENTS[0], EVENTS[2])
    assert bad.raw == b'{"broken'


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


def test_compressing_is_repeatable() -> None:
    assert compress(b"abc") == compress(b"abc")
