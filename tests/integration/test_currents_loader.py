"""The function currents_loader on moto: Avro files of Currents into the stream."""

import io
import json
from typing import Any
from urllib.parse import quote_plus, unquote_plus

import pytest

from bridge.currents.decode.record import decode
from bridge.errors import RetryableError
from bridge.quarantine import from_lines
from functions.currents_loader import app
from sandbox.braze.currents import CurrentsSource, avro_file
from tests.integration.stack import EVENTS, Context, Stack, sample

OPEN = "users.messages.email.Open"
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
    app.handler(announced(), Context(600))
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
    app.handler(announced(key), Context(600))
    (found,) = stored(stack)
    assert found["event_type"] == "users.canvas.Entry"


@pytest.mark.parametrize("codec", ["null", "deflate", "snappy"])
def test_every_codec_of_avro_is_read(stack: Stack, codec: str) -> None:
    import fastavro

    records = fastavro.reader(io.BytesIO(FILE))
    content = io.BytesIO()
    schema: Any = records.writer_schema
    fastavro.writer(content, schema, list(records), codec=codec)
    put(stack, content.getvalue())
    app.handler(announced(), Context(600))
    assert len(stored(stack)) == 5


def test_a_large_file_goes_in_records_of_bounded_size(stack: Stack) -> None:
    source = CurrentsSource(["u"], 1)
    opens = [source.event("users.messages.email.Open") for _ in range(6_000)]
    put(stack, avro_file("users.messages.email.Open", opens))
    app.handler(announced(), Context(600))
    assert len(stored(stack)) == 6_000
    assert len(stack.stream_records()) > 1


@pytest.mark.parametrize(
    "content", [b"", b"Obj\x01", b"no Avro at all", FILE[:200], FILE[:-30]]
)
def test_a_file_that_is_damaged_is_quarantined_byte_for_byte(
    stack: Stack, content: bytes
) -> None:
    put(stack, content)
    app.handler(announced(), Context(600))
    assert stack.objects("quarantine/currents/") == [content]


def test_the_ending_may_be_in_capitals(stack: Stack) -> None:
    put(stack, FILE, "A.AVRO")
    app.handler(announced("A.AVRO"), Context(600))
    assert len(stored(stack)) == 5


def test_a_file_that_is_gone_is_passed_over(stack: Stack) -> None:
    app.handler(announced(), Context(600))
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
        app.handler(announced(), Context(600))


def test_the_same_notification_twice_is_harmless(stack: Stack) -> None:
    put(stack, FILE)
    app.handler(announced(), Context(600))
    app.handler(announced(), Context(600))
    ids = [event["id"] for event in stored(stack)]
    assert len(ids) == 10
    assert len(set(ids)) == 5, "Mixpanel shows each once"


# Interrupted and resumed


class Clock(Context):
    """A context whose time runs out after some questions."""

    def __init__(self, chunks: int) -> None:
        super().__init__()
        self.chunks = chunks

    def get_remaining_time_in_millis(self) -> int:
        self.chunks -= 1
        return 600_000 if self.chunks > 0 else app.SECONDS_FOR_CHUNK * 1000 - 1


def many(count: int) -> bytes:
    source = CurrentsSource(["u"], 1)
    kind = "users.messages.email.Open"
    return avro_file(kind, [source.event(kind) for _ in range(count)])


def progress(stack: Stack) -> list[bytes]:
    return stack.objects("progress/")


def test_when_time_runs_short_the_next_run_goes_on_where_it_stopped(
    stack: Stack,
) -> None:
    put(stack, many(9_000))
    with pytest.raises(RetryableError):
        app.handler(announced(), Clock(1))
    first = len(stored(stack))
    assert 0 < first < 9_000
    assert progress(stack) == [str(first).encode()]
    with pytest.raises(RetryableError):
        app.handler(announced(), Clock(2))
    app.handler(announced(), Clock(100))
    ids = [event["id"] for event in stored(stack)]
    assert len(ids) == len(set(ids)) == 9_000, "nothing twice, nothing left out"
    assert progress(stack) == []


def test_a_file_that_was_replaced_is_read_from_its_start(stack: Stack) -> None:
    put(stack, many(9_000))
    with pytest.raises(RetryableError):
        app.handler(announced(), Clock(1))
    before = len(stored(stack))
    put(stack, FILE)
    app.handler(announced(), Clock(100))
    assert len(stored(stack)) == before + 5


def test_what_is_stored_when_the_stream_fails_is_not_stored_again(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(stack, many(9_000))
    stream = app.loader().stream
    real, calls = stream.put, []

    def fails_once(records: Any) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise RetryableError("stream_throttled")
        real(records)

    monkeypatch.setattr(stream, "put", fails_once)
    with pytest.raises(RetryableError):
        app.handler(announced(), Context(600))
    app.handler(announced(), Context(600))
    ids = [event["id"] for event in stored(stack)]
    assert len(ids) == len(set(ids)) == 9_000


def test_a_notification_that_comes_twice_gives_the_same_records(stack: Stack) -> None:
    """So that Mixpanel shows each event once, and nothing depends on the clock."""
    put(stack, many(6_000))
    app.handler(announced(), Context(600))
    first = stack.stream_records()
    app.handler(announced(), Context(600))
    assert stack.stream_records()[len(first) :] == first


def test_an_event_that_fits_nowhere_is_quarantined_alone(stack: Stack) -> None:
    import random

    source = CurrentsSource(["u"], 1)
    kind = "users.messages.email.Open"
    events = [source.event(kind) for _ in range(3)]
    noise = random.Random(1).randbytes(1_500_000).hex()
    events[1]["properties"]["user_agent"] = noise
    put(stack, avro_file(kind, events))
    app.handler(announced(), Context(600))
    assert len(stored(stack)) == 2
    ((item,),) = [[*from_lines(each)] for each in stack.objects("quarantine/currents/")]
    assert item.reason == "too_large"
    assert json.loads(item.original)["user_agent"] == noise


LAYOUTS = [
    "currents/{source}/event_type={type}/date=2026-11-24-11/version=12/prod/{file}",
    "currents/{source}/event_type={type}/date=2026-11-24-11/version=3/{file}",
    "currents/{source}/event_type={type}/date=2026-11-24-11/{file}",
    "our own/prefix/{source}/event_type={type}/date=2026-11-24-11/{file}",
    "no type in it/{file}",
]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_old_and_new_layouts_are_read(stack: Stack, layout: str) -> None:
    source = "dataexport.prod-03.S3.integration.65a1b2c3"
    kind = "users.canvas.exit.PerformedEvent"
    key = layout.format(source=source, type=kind, file=f"{source}+0+000.avro")
    event = CurrentsSource(["u"], 1).event("users.canvas.Entry")
    put(stack, avro_file(kind, [event]), key)
    app.handler(announced(key), Context(600))
    (found,) = stored(stack)
    assert found["event_type"] == kind


def test_of_a_file_with_a_damaged_block_the_others_are_loaded_and_it_is_counted(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    source = CurrentsSource(["u"], 1_767_225_600)
    content = avro_file(OPEN, (source.event(OPEN) for _ in range(500)))
    whole = len(content)
    put(stack, content[: whole // 2] + b"\xff" * 40 + content[whole // 2 + 40 :])
    app.handler(announced(), Context(600))
    events = stored(stack)
    assert 100 < len(events) < 500
    assert '"BlocksDamaged":[1.0]' in capsys.readouterr().out
    (kept,) = stack.objects("quarantine/currents/")
    assert len(kept) == whole


@pytest.mark.parametrize("key", ["currents/users", "x/event_type=a.b/file.AVRO.tmp"])
def test_an_avro_file_is_loaded_whatever_its_name(stack: Stack, key: str) -> None:
    put(stack, FILE, key)
    app.handler(announced(key), Context(600))
    assert len(stored(stack)) == 5


@pytest.mark.parametrize("content", [b"", b"Obj", b"{}", b"not an Avro file"])
def test_a_file_that_is_no_avro_is_counted_and_named(
    stack: Stack,
    content: bytes,
    logged: io.StringIO,
    capsys: pytest.CaptureFixture[str],
) -> None:
    put(stack, content, "currents/_SUCCESS")
    app.handler(announced("currents/_SUCCESS"), Context(600))
    assert stored(stack) == []
    assert stack.objects("quarantine/currents/") == []
    assert '"FilesIgnored":[1.0]' in capsys.readouterr().out
    assert "currents/_SUCCESS" in logged.getvalue()
