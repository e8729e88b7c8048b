"""The event source mapping of a stream: bisecting, retries, and discarding."""

import json
import time
from typing import Any

from sandbox.cloud import Cloud
from tests.sandbox.event_sources.streams import (
    ARN,
    Stream,
    batches,
    data,
    failing_at,
    once,
    raising_on,
)
from tests.sandbox.queues import MakeQueue
from tests.sandbox.recorder import Recorder, eventually


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
