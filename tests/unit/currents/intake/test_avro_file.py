"""A Currents file into the stream: in bounded memory, in steps, the same each time."""

import io
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fastavro
import pytest

from bridge.currents.decode.record import decode
from bridge.currents.intake.avro_file import Loaded, load
from bridge.currents.stream.kinesis import Stream
from bridge.currents.stream.pack import EVENTS_PER_RECORD
from bridge.errors import RetryableError

KEY = "currents/x/event_type=users.messages.email.Open/date=2026-11-24-11/a.avro"
SCHEMA: Any = {
    "type": "record",
    "name": "dataexport.S3.inner.users.messages.email.Open",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "time", "type": "int"},
        {"name": "external_user_id", "type": ["null", "string"], "default": None},
        {"name": "user_agent", "type": "string"},
    ],
}


class Kinesis(Stream):
    """A stream in memory; fails at the given calls."""

    def __init__(self, *failing: int, keep: bool = True) -> None:
        self.records: list[bytes] = []
        self.calls = 0
        self.failing = failing
        self.keep = keep

    def put(self, records: Any) -> None:
        self.calls += 1
        if self.calls in self.failing:
            raise RetryableError("stream_throttled")
        if self.keep:
            self.records += records


def events(count: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        yield {
            "id": f"id-{number}",
            "time": 1_767_225_600 + number,
            "external_user_id": f"cust-{number % 97}",
            "user_agent": f"Mozilla/5.0 {number} " + "x" * 300,
        }


def file_of(count: int) -> bytes:
    content = io.BytesIO()
    fastavro.writer(content, SCHEMA, events(count), codec="deflate")
    return content.getvalue()


def run(
    content: bytes,
    stream: Stream,
    position: int = 0,
    is_late: Callable[[], bool] = lambda: False,
) -> Loaded:
    loaded = Loaded(position)
    load(KEY, io.BytesIO(content), stream, loaded, is_late)
    return loaded


def test_an_unfinished_file_resumes_from_its_position() -> None:
    content = file_of(EVENTS_PER_RECORD * 3)
    whole, parts = Kinesis(), Kinesis()
    assert run(content, whole).finished
    position, runs = 0, 0
    while True:
        loaded = run(content, parts, position, lambda: True)
        if loaded.finished:
            break
        assert loaded.position > position, "each run gets on"
        position, runs = loaded.position, runs + 1
        assert runs <= len(whole.records), "events are loaded twice"
    assert runs == len(whole.records) > 3
    assert parts.records == whole.records


@pytest.mark.parametrize("failing", [1, 2, 4])
def test_what_is_safe_is_known_when_the_stream_fails(failing: int) -> None:
    content = file_of(EVENTS_PER_RECORD * 3)
    whole, parts = Kinesis(), Kinesis(failing)
    run(content, whole)
    loaded = Loaded()
    with pytest.raises(RetryableError):
        load(KEY, io.BytesIO(content), parts, loaded)
    assert not loaded.finished
    run(content, parts, loaded.position)
    assert parts.records == whole.records


def test_the_same_file_gives_the_same_records_each_time() -> None:
    content = file_of(20_000)
    first, second = Kinesis(), Kinesis()
    run(content, first)
    run(content, second)
    assert first.records == second.records


def test_a_position_behind_the_end_is_the_end() -> None:
    stream = Kinesis()
    assert run(file_of(10), stream, 10).finished
    assert stream.records == []


def test_an_event_that_fits_into_no_record_is_reported_and_the_others_are_stored() -> (
    None
):
    import random

    noise = random.Random(1).randbytes(1_500_000).hex()
    content = io.BytesIO()
    first, long, last = events(3)
    fastavro.writer(content, SCHEMA, [first, long | {"user_agent": noise}, last])
    stream = Kinesis()
    loaded = run(content.getvalue(), stream)
    assert [noise.encode() in event for event in loaded.too_large] == [True]
    stored = [d.event["id"] for record in stream.records for d in decode(record)]
    assert stored == ["id-0", "id-2"]
    assert loaded.finished
    assert loaded.position == 3


def peak_of(path: Path) -> int:
    stream = Kinesis(keep=False)
    with path.open("rb") as content:
        tracemalloc.start()
        try:
            load(KEY, content, stream, Loaded())
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    peaks = {}
    for count in (6_000, 48_000):
        path = tmp_path / f"{count}.avro"
        with path.open("wb") as content:
            fastavro.writer(content, SCHEMA, events(count))
        peaks[count] = peak_of(path)
    assert path.stat().st_size > 16_000_000
    assert peaks[48_000] < peaks[6_000] + 500_000
    assert peaks[48_000] < 32_000_000
