"""The event source mapping of a stream: batches, order, and its position."""

import json
import threading
import time
from typing import Any

import pytest

from tests.sandbox.event_sources.streams import (
    Stream,
    batches,
    data,
    failing_at,
    once,
    raising_on,
)
from tests.sandbox.recorder import Recorder, eventually


def test_the_event_has_the_documented_shape(stream: Stream) -> None:
    """AWS Lambda Developer Guide, "Using Lambda to process records from Amazon Kinesis
    Data Streams", "Example Kinesis Data Streams event" (with-kinesis)."""
    stream.put("hello", key="user")
    recorder = Recorder(lambda event: None)
    with stream.mapped(recorder):
        eventually(lambda: recorder.events)
    [record] = recorder.events[0]["Records"]
    kinesis = record.pop("kinesis")
    number = kinesis["sequenceNumber"]
    assert kinesis.pop("approximateArrivalTimestamp") == pytest.approx(
        time.time(), abs=60
    )
    assert kinesis == {
        "kinesisSchemaVersion": "1.0",
        "partitionKey": "user",
        "sequenceNumber": number,
        "data": "aGVsbG8=",
    }
    assert record == {
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"shardId-000000000000:{number}",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": "arn:aws:iam::123456789012:role/sandbox",
        "awsRegion": "us-east-1",
        "eventSourceARN": (
            f"arn:aws:kinesis:us-east-1:123456789012:stream/{stream.name}"
        ),
    }


def test_batches_are_in_order_and_at_most_batch_size(stream: Stream) -> None:
    """AWS Lambda Developer Guide, "How Lambda processes records from stream and
    queue-based event sources" (invocation-eventsourcemapping)."""
    stream.put(*"abcdefg")
    recorder = Recorder(lambda event: None)
    with stream.mapped(recorder, batch_size=3) as mapping:
        eventually(mapping.idle)
    assert batches(recorder) == ["abc", "def", "g"]


def test_a_batching_window_collects_what_comes_apart(stream: Stream) -> None:
    """AWS Lambda Developer Guide, "How Lambda processes records from stream and
    queue-based event sources", "Batching behavior" (invocation-eventsourcemapping)."""
    stream.put("a")
    recorder = Recorder(lambda event: None)
    with stream.mapped(recorder, window=0.6) as mapping:
        time.sleep(0.2)
        stream.put("b")
        eventually(lambda: recorder.events and mapping.idle())
    assert batches(recorder) == ["ab"]


def test_an_event_is_at_most_six_megabytes(stream: Stream) -> None:
    """AWS Lambda Developer Guide, "How Lambda processes records from stream and
    queue-based event sources", "Batching behavior": the payload size reaches 6 MB
    (invocation-eventsourcemapping)."""
    for _ in range(8):
        stream.put("x" * 1_000_000)
    recorder = Recorder(lambda event: None)
    with stream.mapped(recorder) as mapping:
        eventually(mapping.idle, 20)
    sizes = [len(json.dumps(event)) for event in recorder.events]
    assert [len(event["Records"]) for event in recorder.events] == [4, 4]
    assert max(sizes) <= 6_291_556


def test_latest_starts_behind_what_is_there(stream: Stream) -> None:
    """AWS Lambda Developer Guide, "Lambda parameters for Amazon Kinesis Data Streams
    event source mappings", StartingPosition (services-kinesis-parameters)."""
    stream.put("old")
    recorder = Recorder(lambda event: None)
    with stream.mapped(recorder, starting_position="LATEST") as mapping:
        stream.put("n")
        eventually(lambda: recorder.events and mapping.idle())
    assert batches(recorder) == ["n"]


def test_the_position_stays_at_the_lowest_failure(stream: Stream) -> None:
    """AWS Lambda Developer Guide, "Configuring partial batch response with Kinesis Data
    Streams and Lambda": the lowest sequence number is the checkpoint and everything
    from it is tried again (services-kinesis-batchfailurereporting)."""
    stream.put(*"abcde")
    recorder = Recorder(once(failing_at("d", "b")))
    with stream.mapped(recorder) as mapping:
        eventually(mapping.idle)
    assert batches(recorder) == ["abcde", "bcde"]


@pytest.mark.parametrize("answer", [None, {}, {"batchItemFailures": None}])
def test_an_empty_answer_passes_the_batch(stream: Stream, answer: Any) -> None:
    """AWS Lambda Developer Guide, "Configuring partial batch response with Kinesis Data
    Streams and Lambda" (services-kinesis-batchfailurereporting)."""
    stream.put(*"ab")
    recorder = Recorder(lambda event: answer)
    with stream.mapped(recorder) as mapping:
        eventually(mapping.idle)
    assert batches(recorder) == ["ab"]


@pytest.mark.parametrize("identifier", ["", None, "unknown"])
def test_a_bad_identifier_fails_the_whole_batch(
    stream: Stream, identifier: str | None
) -> None:
    """AWS Lambda Developer Guide, "Configuring partial batch response with Kinesis Data
    Streams and Lambda" (services-kinesis-batchfailurereporting)."""
    stream.put(*"ab")
    odd = {"batchItemFailures": [{"itemIdentifier": identifier}]}
    recorder = Recorder(once(lambda event: odd))
    with stream.mapped(recorder) as mapping:
        eventually(mapping.idle)
    assert batches(recorder) == ["ab", "ab"]


def test_a_failure_blocks_what_comes_after_it(stream: Stream) -> None:
    """AWS Lambda Developer Guide, "Retain discarded batch records for a Kinesis Data
    Streams event source in Lambda": a bad record can block the shard
    (kinesis-on-failure-destination)."""
    stream.put("a")
    recorder = Recorder(raising_on("a"))
    with stream.mapped(recorder, batch_size=1):
        eventually(lambda: len(recorder.events) >= 2)
        stream.put("b")
        eventually(lambda: len(recorder.events) >= 5)
    assert set(batches(recorder)) == {"a"}


def test_parallel_readers_of_a_shard_keep_the_order_of_a_partition_key(
    stream: Stream,
) -> None:
    """AWS Lambda Developer Guide, "Lambda parameters for Amazon Kinesis Data Streams
    event source mappings", ParallelizationFactor: in order at the partition-key level
    (services-kinesis-parameters)."""
    for number in range(5):
        for key in "uvwxyz":
            stream.put(f"{key}{number}", key=key)
    recorder = Recorder(lambda event: None)
    with stream.mapped(recorder, parallelization=3, batch_size=4) as mapping:
        eventually(mapping.idle)
    seen = [item for event in recorder.events for item in data(event)]
    assert len(seen) == 30
    for key in "uvwxyz":
        own = [item for item in seen if item.startswith(key)]
        assert own == [f"{key}{number}" for number in range(5)]


def test_no_record_is_lost_when_many_put_at_once(stream: Stream) -> None:
    """Amazon Kinesis Data Streams API Reference, "PutRecords": each accepted record has
    a sequence number of its own. moto alone gives one number twice."""

    def put(writer: int) -> None:
        for number in range(20):
            stream.put(f"{writer}-{number}")

    recorder = Recorder(lambda event: None)
    with stream.mapped(recorder) as mapping:
        threads = [threading.Thread(target=put, args=(writer,)) for writer in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        eventually(mapping.idle)
    assert len({item for event in recorder.events for item in data(event)}) == 120
