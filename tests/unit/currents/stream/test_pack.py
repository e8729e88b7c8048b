"""Packed events are read back byte for byte, and no record exceeds the limit."""

import json
import random
import time

import pytest

from bridge.currents.decode.record import (
    decode,
)
from bridge.currents.stream.pack import compress, pack
from bridge.errors import MalformedInput
from tests.unit.currents.record_bytes import LINES


def test_packed_events_are_read_back_byte_for_byte() -> None:
    (record,) = pack(LINES)
    assert [decoded.raw for decoded in decode(record)] == LINES


def test_records_stay_below_the_limit_of_the_stream() -> None:
    noise = random.Random(1)
    large = [json.dumps(noise.randbytes(300_000).hex()).encode() for _ in range(8)]
    records = list(pack(large))
    assert all(len(record) < 1_048_576 for record in records)
    assert sum(len(list(decode(record))) for record in records) == len(large)


def test_an_event_that_fits_nowhere_is_malformed() -> None:
    with pytest.raises(MalformedInput, match="exceeds"):
        list(pack([random.Random(1).randbytes(2_000_000).hex().encode()]))


def test_compressing_is_repeatable_at_any_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same file, announced twice, gives the same records."""
    first = compress(b"abc")
    monkeypatch.setattr(time, "time", lambda: 1.0)
    assert compress(b"abc") == first
    assert first[4:8] == bytes(4), "the field of the time"
