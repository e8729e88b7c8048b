"""The event source mapping of a stream: positions, bisecting, retries, discarding."""

import base64
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.cloud import Cloud
from sandbox.cloudformation.settings import KinesisSource
from sandbox.event_sources.kinesis import KinesisMapping, Pace
from sandbox.lambda_runtime.destinations import Destinations
from sandbox.lambda_runtime.invocation import Invoke
from tests.sandbox.queues import MakeQueue
from tests.sandbox.recorder import Recorder, eventually

ARN = "arn:aws:lambda:us-east-1:123456789012:function:importer"


class Stream:
    """A stream of one test."""

    def __init__(self, cloud: Cloud, name: str) -> None:
        self._cloud = cloud
        self.name = name
        self.client = cloud.client("kinesis")
        self.client.create_stream(StreamName=name, ShardCount=1)

    def put(self, *data: str, key: str = "k") -> None:
        self.client.put_records(
            StreamName=self.name,
            Records=[{"Data": d.encode(), "PartitionKey": key} for d in data],
        )

    @contextlib.contextmanager
    def mapped(
        self, invoke: Invoke, *, clock: Any = time.time, **settings: Any
    ) -> Iterator[KinesisMapping]:
        arn = f"arn:aws:kinesis:us-east-1:123456789012:stream/{self.name}"
        chosen = {"starting_position": "TRIM_HORIZON", "report_failures": True}
        mapping = KinesisMapping(
            KinesisSource("Importer", arn, **{**chosen, **settings}),
            self.client,
            invoke,
            ARN,
            Destinations(self._cloud.client),
            Pace(poll=0.02, first_retry=0.02, longest_retry=0.1, clock=clock),
        )
        mapping.start()
        try:
            yield mapping
        finally:
            mapping.stop()


@pytest.fixture
def stream(cloud: Cloud, unique: str) -> Stream:
    return Stream(cloud, unique)


@pytest.fixture
def bucket(cloud: Cloud, unique: str) -> str:
    cloud.client("s3").create_bucket(Bucket=unique)
    return unique


def data(event: dict[str, Any]) -> list[str]:
    return [
        base64.b64decode(record["kinesis"]["data"]).decode()
        for record in event["Records"]
    ]


def batches(recorder: Recorder) -> list[str]:
    """Each batch as one word, its records being letters."""
    return ["".join(data(event)) for event in recorder.events]


def failing_at(*letters: str) -> Any:
    """A handler that reports the records with these data as failed."""

    def rule(event: dict[str, Any]) -> Any:
        failures = [
            {"itemIdentifier": record["kinesis"]["sequenceNumber"]}
            for record, letter in zip(event["Records"], data(event), strict=True)
            if letter in letters
        ]
        return {"batchItemFailures": failures}

    return rule


def raising_on(*letters: str) -> Any:
    def rule(event: dict[str, Any]) -> None:
        if set(letters) & set(data(event)):
            raise RuntimeError("on purpose")

    return rule


def once(first: Any) -> Any:
    """The first invocation answers by `first`, all others succeed."""
    rules = iter([first])

    def rule(event: dict[str, Any]) -> Any:
        chosen = next(rules, None)
        return chosen(event) if chosen else None

    return rule


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


def test_an_exception_bisects_the_batch(stream: Stream) -> None:
    """AWS Lambda Developer Guide, "Retain discarded batch records for a Kinesis Data
    Streams event source in Lambda": splitting consumes no retry
    (kinesis-on-failure-destination)."""
    stream.put(*"abcd")
    recorder = Recorder(raising_on("c"))
    with stream.mapped(recorder, bisect=True, retries=1) as mapping:
        eventually(mapping.idle)
    assert batches(recorder) == ["abcd", "ab", "cd", "c", "c", "d"]


def test_with_reported_failures_the_bisect_is_at_the_returned_number(
    stream: Stream,
) -> None:
    """AWS Lambda Developer Guide, "Configuring partial batch response with Kinesis Data
    Streams and Lambda", "Bisecting a batch": at the returned sequence number, and only
    the remaining records are retried (services-kinesis-batchfailurereporting)."""
    stream.put(*"abcdef")
    recorder = Recorder(once(failing_at("e")))
    with stream.mapped(recorder, bisect=True) as mapping:
        eventually(mapping.idle)
    assert batches(recorder) == ["abcdef", "ef"]


def test_a_moved_position_starts_the_retries_anew(stream: Stream) -> None:
    """AWS Lambda Developer Guide, "Configuring partial batch response with Kinesis Data
    Streams and Lambda" (services-kinesis-batchfailurereporting)."""
    stream.put(*"abc")
    tries: list[str] = []

    def rule(event: dict[str, Any]) -> Any:
        letters = "".join(data(event))
        tries.append(letters)
        if tries.count(letters) <= 2 and len(letters) > 1:
            return failing_at(letters[0] if tries.count(letters) == 1 else letters[1])(
                event
            )
        return None

    with stream.mapped(Recorder(rule), retries=1) as mapping:
        eventually(mapping.idle)
    assert tries == ["abc", "abc", "bc", "bc", "c"]


def test_used_up_retries_send_the_records_to_the_bucket(
    cloud: Cloud, stream: Stream, bucket: str
) -> None:
    """AWS Lambda Developer Guide, "Retain discarded batch records for a Kinesis Data
    Streams event source in Lambda", S3 destinations
    (kinesis-on-failure-destination)."""
    stream.put(*"ab")
    recorder = Recorder(raising_on("a"))
    with stream.mapped(
        recorder, retries=2, batch_size=2, on_failure=f"arn:aws:s3:::{bucket}"
    ) as mapping:
        eventually(mapping.idle)
        stream.put("c")
        eventually(lambda: batches(recorder)[-1] == "c")
    assert batches(recorder) == ["ab", "ab", "ab", "c"]
    s3 = cloud.client("s3")
    [entry] = s3.list_objects_v2(Bucket=bucket)["Contents"]
    folder = f"aws/lambda/{mapping.uuid}/shardId-000000000000/{time.gmtime().tm_year}/"
    assert entry["Key"].startswith(folder)
    record = json.loads(s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read())
    assert json.loads(record["payload"]) == recorder.events[0]
    assert record["requestContext"] == {
        "requestId": "request",
        "functionArn": ARN,
        "condition": "RetryAttemptsExhausted",
        "approximateInvokeCount": 3,
    }
    assert record["responseContext"] == {
        "statusCode": 200,
        "executedVersion": "$LATEST",
        "functionError": "Unhandled",
    }
    info = record["KinesisBatchInfo"]
    assert info["batchSize"] == 2
    assert info["shardId"] == "shardId-000000000000"
    assert (info["startSequenceNumber"], info["endSequenceNumber"]) == ("1", "2")


def test_a_queue_gets_what_finds_the_records_but_not_the_records(
    stream: Stream, make_queue: MakeQueue
) -> None:
    """AWS Lambda Developer Guide, "Retain discarded batch records for a Kinesis Data
    Streams event source in Lambda", SQS destinations
    (kinesis-on-failure-destination)."""
    stream.put("a")
    queue = make_queue()
    with stream.mapped(
        Recorder(raising_on("a")), retries=0, on_failure=queue.source.queue_arn
    ) as mapping:
        eventually(mapping.idle)
    [message] = queue.receive()
    record = json.loads(message["Body"])
    assert "payload" not in record
    assert record["KinesisBatchInfo"]["streamArn"].endswith(f"stream/{stream.name}")


def test_records_past_their_age_are_discarded(
    cloud: Cloud, stream: Stream, bucket: str
) -> None:
    """AWS Lambda Developer Guide, "Retain discarded batch records for a Kinesis Data
    Streams event source in Lambda", MaximumRecordAgeInSeconds
    (kinesis-on-failure-destination)."""
    stream.put(*"ab")
    hours = [0]

    def rule(event: dict[str, Any]) -> None:
        hours[0] = 2
        raise RuntimeError("on purpose")

    recorder = Recorder(rule)
    with stream.mapped(
        recorder,
        clock=lambda: time.time() + hours[0] * 3600,
        maximum_age=3600,
        on_failure=f"arn:aws:s3:::{bucket}",
    ) as mapping:
        eventually(mapping.idle)
    assert batches(recorder) == ["ab"]
    s3 = cloud.client("s3")
    [entry] = s3.list_objects_v2(Bucket=bucket)["Contents"]
    record = json.loads(s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read())
    assert record["requestContext"]["condition"] == "RecordAgeExceeded"
    assert record["requestContext"]["approximateInvokeCount"] == 1
    assert record["KinesisBatchInfo"]["batchSize"] == 2


def test_lanes_of_a_shard_keep_the_order_of_a_partition_key(stream: Stream) -> None:
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
