"""The function currents_loader on moto: Avro files of Currents into the stream."""

import json
from typing import Any
from urllib.parse import quote_plus, unquote_plus

import pytest

from bridge.currents.decode import decode
from bridge.errors import RetryableError
from functions.currents_loader import app
from sandbox.braze.currents import CurrentsSource, avro_file
from tests.integration.stack import EVENTS, Context, Stack, sample, stack

__all__ = ["stack"]

FILE = (EVENTS / "currents_loader.avro").read_bytes()


@pytest.fixture(autouse=True)
def fresh(stack: Stack) -> None:
    app.loader.cache_clear()


def announced(key: str | None = None) -> dict[str, Any]:
    event = sample("currents_loader")
    if key is not None:
        event["Records"][0]["s3"]["object"]["key"] = quote_plus(key, safe="/")
    return event


def put(stack: Stack, content: bytes, key: str | None = None) -> None:
    name = key or sample("currents_loader")["Records"][0]["s3"]["object"]["key"]
    stack.s3.put_object(Bucket="currents", Key=key or unquote_plus(name), Body=content)


def stored(stack: Stack) -> list[Any]:
    return [d.event for record in stack.stream_records() for d in decode(record)]


def test_the_events_of_a_file_are_packed_with_their_type(stack: Stack) -> None:
    put(stack, FILE)
    app.handler(announced(), Context())
    events = stored(stack)
    assert len(events) == 5
    assert {event["event_type"] for event in events} == {"users.messages.email.Open"}
    assert len(stack.stream_records()) == 1


@pytest.mark.parametrize(
    "key",
    [
        "currents/dataexport.x/event_type=users.canvas.Entry/date=2026-11-24-11/a.avro",
        "odd layout/with spaces+and plus/users.avro",
    ],
)
def test_old_and_odd_layouts_are_read(stack: Stack, key: str) -> None:
    event = CurrentsSource(["u"], 1).event("users.canvas.Entry")
    put(stack, avro_file("users.canvas.Entry", [event]), key)
    app.handler(announced(key), Context())
    (found,) = stored(stack)
    assert found["event_type"] == "users.canvas.Entry"


@pytest.mark.parametrize("codec", ["null", "deflate", "snappy"])
def test_every_codec_of_avro_is_read(stack: Stack, codec: str) -> None:
    import io

    import fastavro

    records = fastavro.reader(io.BytesIO(FILE))
    content = io.BytesIO()
    schema: Any = records.writer_schema
    fastavro.writer(content, schema, list(records), codec=codec)
    put(stack, content.getvalue())
    app.handler(announced(), Context())
    assert len(stored(stack)) == 5


def test_a_large_file_goes_in_records_of_bounded_size(stack: Stack) -> None:
    source = CurrentsSource(["u"], 1)
    opens = [source.event("users.messages.email.Open") for _ in range(6_000)]
    put(stack, avro_file("users.messages.email.Open", opens))
    app.handler(announced(), Context())
    assert len(stored(stack)) == 6_000
    assert len(stack.stream_records()) > 1


@pytest.mark.parametrize(
    "content", [b"", b"Obj\x01", b"no Avro at all", FILE[:200], FILE[:-30]]
)
def test_a_file_that_is_damaged_is_put_aside_byte_for_byte(
    stack: Stack, content: bytes
) -> None:
    put(stack, content)
    app.handler(announced(), Context())
    assert stack.kept("quarantine/currents/") == [content]


def test_a_file_that_is_gone_is_passed_over(stack: Stack) -> None:
    app.handler(announced(), Context())
    assert stored(stack) == []


@pytest.mark.parametrize("store", ["stream", "bucket"])
def test_a_store_that_fails_makes_lambda_try_again(stack: Stack, store: str) -> None:
    put(stack, FILE)
    if store == "stream":
        stack.kinesis.delete_stream(StreamName="currents")
    else:
        key = json.loads(json.dumps(announced()))["Records"][0]["s3"]["object"]["key"]
        stack.s3.delete_object(Bucket="currents", Key=unquote_plus(key))
        stack.s3.delete_bucket(Bucket="currents")
    with pytest.raises(RetryableError, match="a file was not loaded"):
        app.handler(announced(), Context())


def test_the_same_notification_twice_is_harmless(stack: Stack) -> None:
    put(stack, FILE)
    app.handler(announced(), Context())
    app.handler(announced(), Context())
    ids = [event["id"] for event in stored(stack)]
    assert len(ids) == 10
    assert len(set(ids)) == 5, "Mixpanel shows each once"
