"""An Avro container is read under its own codec and type, and never past its limits."""

import io
from typing import Any

import fastavro
import pytest

from bridge.currents.decode.avro import read_events, to_json
from bridge.currents.decode.avro_blocks import MAX_HEADER
from bridge.currents.decode.record import decode
from bridge.currents.intake.avro_file import Loaded, load
from bridge.errors import MalformedInput
from sandbox.braze.currents import CurrentsSource, avro_file, flat
from tests.unit.currents.intake.test_avro_file import Kinesis
from tests.unit.currents.record_bytes import (
    AVRO_IN_ITSELF,
    AVRO_OF_NOTHING,
    RECORD,
    aggregate,
    container,
)


def loaded(content: bytes) -> tuple[Loaded, Kinesis]:
    result, stream = Loaded(), Kinesis()
    load("x/event_type=a.b/date=1/a.avro", io.BytesIO(content), stream, result)
    return result, stream


@pytest.mark.parametrize("content", [AVRO_IN_ITSELF, AVRO_OF_NOTHING])
def test_h2_a_file_is_held_to_the_same_as_a_record(content: bytes) -> None:
    # Of 2**40 empty events the loader would make records for days.
    result, stream = loaded(content)
    assert result.problem is not None
    assert result.problem.reason == "bad_avro"
    assert result.finished
    assert stream.records == []


def test_a_header_is_not_read_further_than_the_limit() -> None:
    class Endless(io.BytesIO):
        most = 0

        def read(self, size: int | None = -1) -> bytes:
            assert size is not None
            self.most = max(self.most, size)
            return super().read(size)

    content = Endless(container(" " * MAX_HEADER + RECORD % "[]", "null", 0, b""))
    with pytest.raises(MalformedInput, match="header is too long"):
        list(read_events("", content))
    assert content.most < MAX_HEADER


def test_what_cannot_be_json_is_bad_avro() -> None:
    deep: Any = 1
    for _ in range(300):
        deep = {"n": deep}
    with pytest.raises(MalformedInput) as caught:
        to_json(deep)
    assert caught.value.reason == "bad_avro"


@pytest.mark.parametrize("codec", ["null", "deflate", "snappy"])
def test_an_avro_container_of_any_codec_is_read(codec: str) -> None:
    source = CurrentsSource(["u"], 1)
    given = [source.event("users.canvas.Entry") for _ in range(300)]
    plain = avro_file("users.canvas.Entry", given)
    assert events(recoded(plain, codec)) == events(plain)
    assert events(aggregate(recoded(plain, codec))) == events(plain)


def events(data: bytes) -> list[Any]:
    return [decoded.event for decoded in decode(data)]


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


def test_a_damaged_container_gives_what_stands_before_the_damage() -> None:
    source = CurrentsSource(["u"], 1)
    data = avro_file("a.b", [source.event("users.canvas.Entry") for _ in range(400)])
    decoded = list(decode(data[:-40]))
    assert decoded[-1].problem is not None
    assert decoded[-1].raw == data[:-40]
