"""The event source mapping of a queue: batches, deletion, retries, dead letters."""

import hashlib
import json
import threading
from typing import Any

import pytest

from sandbox.lambda_runtime.invocation import Throttled
from tests.sandbox.queues import MakeQueue, bodies, failing, mapped
from tests.sandbox.recorder import Recorder, eventually


def raising(event: dict[str, Any]) -> Any:
    raise RuntimeError("on purpose")


def test_the_event_has_the_documented_shape(make_queue: MakeQueue) -> None:
    """AWS Lambda Developer Guide, "Using Lambda with Amazon SQS", "Example FIFO queue
    message event" (with-sqs)."""
    queue = make_queue(".fifo", FifoQueue="true")
    queue.client.send_message(
        QueueUrl=queue.url,
        MessageBody="{}",
        MessageGroupId="cohort",
        MessageDeduplicationId="page",
        MessageAttributes={
            "text": {"DataType": "String", "StringValue": "x"},
            "bytes": {"DataType": "Binary", "BinaryValue": b"y"},
        },
    )
    recorder = Recorder(lambda event: None)
    with mapped(queue, recorder):
        eventually(lambda: recorder.events)
    [record] = recorder.events[0]["Records"]
    attributes = record["attributes"]
    assert set(record) == {
        "messageId", "receiptHandle", "body", "attributes", "messageAttributes",
        "md5OfBody", "md5OfMessageAttributes", "eventSource", "eventSourceARN",
        "awsRegion",
    }  # fmt: skip
    assert record["eventSource"] == "aws:sqs"
    assert record["eventSourceARN"] == queue.source.queue_arn
    assert record["awsRegion"] == "us-east-1"
    assert record["md5OfBody"] == hashlib.md5(b"{}").hexdigest()  # noqa: S324
    assert attributes["ApproximateReceiveCount"] == "1"
    assert attributes["MessageGroupId"] == "cohort"
    assert attributes["MessageDeduplicationId"] == "page"
    assert len(attributes["SequenceNumber"]) == 20
    assert attributes["SentTimestamp"].isdigit()
    assert attributes["ApproximateFirstReceiveTimestamp"].isdigit()
    assert record["messageAttributes"]["text"] == {
        "stringValue": "x",
        "stringListValues": [],
        "binaryListValues": [],
        "dataType": "String",
    }
    assert record["messageAttributes"]["bytes"]["binaryValue"] == "eQ=="


def test_a_batch_has_at_most_batch_size_messages(make_queue: MakeQueue) -> None:
    """AWS Lambda Developer Guide, "Using Lambda with Amazon SQS", "Polling and batching
    streams" (with-sqs)."""
    queue = make_queue()
    queue.send(*"abcdefg")
    recorder = Recorder(lambda event: None)
    with mapped(queue, recorder, batch_size=3):
        eventually(lambda: not queue.left())
    assert [len(event["Records"]) for event in recorder.events] == [3, 3, 1]


def test_a_batching_window_collects_more_than_ten(make_queue: MakeQueue) -> None:
    """AWS Lambda Developer Guide, "Creating and configuring an Amazon SQS event source
    mapping", "Batch window" (services-sqs-configure)."""
    queue = make_queue()
    queue.send(*"abcdefghijklmn")
    recorder = Recorder(lambda event: None)
    with mapped(queue, recorder, batch_size=14, window=5):
        eventually(lambda: not queue.left())
    assert [len(event["Records"]) for event in recorder.events] == [14]


def test_an_event_is_at_most_six_megabytes(make_queue: MakeQueue) -> None:
    """AWS Lambda Developer Guide, "Using Lambda with Amazon SQS": a batch ends at the
    payload limit of 6 MB (with-sqs)."""
    queue = make_queue()
    queue.send(*["x" * 1_000_000] * 8)
    sizes: list[int] = []
    lengths: list[int] = []

    def rule(event: dict[str, Any]) -> None:
        sizes.append(len(json.dumps(event)))
        lengths.append(len(event["Records"]))

    with mapped(queue, Recorder(rule)):
        eventually(lambda: not queue.left(), 20)
    assert max(sizes) <= 6_291_556
    assert sum(lengths) == 8


def test_failed_items_stay_and_the_others_are_deleted(make_queue: MakeQueue) -> None:
    """AWS Lambda Developer Guide, "Handling errors for an SQS event source in Lambda",
    "Implementing partial batch responses" (services-sqs-errorhandling)."""
    queue = make_queue(VisibilityTimeout="1")
    queue.send("good", "bad", "fine")
    recorder = Recorder(failing("bad"))
    with mapped(queue, recorder):
        eventually(lambda: len(recorder.events) >= 2)
        assert queue.left() == 1
    assert bodies(recorder.events[1]) == ["bad"]
    received = recorder.events[1]["Records"][0]["attributes"]["ApproximateReceiveCount"]
    assert received == "2"


def test_what_crashed_can_be_redelivered_before_the_visibility_timeout(
    make_queue: MakeQueue,
) -> None:
    """A switch of the sandbox; AWS leaves the messages to the queue's time-out."""
    queue = make_queue(VisibilityTimeout="600")
    queue.send("a")
    recorder = Recorder(raising)
    with mapped(queue, recorder, redelivery=0):
        eventually(lambda: len(recorder.events) >= 2)


@pytest.mark.parametrize("answer", [None, {}, {"batchItemFailures": []}])
def test_an_empty_answer_deletes_everything(make_queue: MakeQueue, answer: Any) -> None:
    """AWS Lambda Developer Guide, "Handling errors for an SQS event source in Lambda",
    "Success and failure conditions" (services-sqs-errorhandling)."""
    queue = make_queue()
    queue.send("a", "b")
    with mapped(queue, Recorder(lambda event: answer)):
        eventually(lambda: not queue.left())


@pytest.mark.parametrize(
    "answer",
    [
        {"batchItemFailures": [{"itemIdentifier": "of another batch"}]},
        {"batchItemFailures": [{"itemIdentifier": ""}]},
        b"not json",
    ],
)
def test_an_odd_answer_keeps_everything(make_queue: MakeQueue, answer: Any) -> None:
    """AWS Lambda Developer Guide, "Handling errors for an SQS event source in Lambda",
    "Success and failure conditions" (services-sqs-errorhandling)."""
    queue = make_queue(VisibilityTimeout="1")
    queue.send("a", "b")
    recorder = Recorder(lambda event: answer)
    with mapped(queue, recorder):
        eventually(lambda: len(recorder.events) >= 2)
    assert sorted(bodies(recorder.events[1])) == ["a", "b"]


def test_an_exception_keeps_everything_until_the_visibility_timeout(
    make_queue: MakeQueue,
) -> None:
    """AWS Lambda Developer Guide, "Handling errors for an SQS event source in Lambda",
    "Backoff strategy for failed invocations" (services-sqs-errorhandling)."""
    queue = make_queue(VisibilityTimeout="2")
    queue.send("a", "b")
    recorder = Recorder(raising)
    with mapped(queue, recorder):
        eventually(lambda: recorder.events)
        threading.Event().wait(1)
        assert len(recorder.events) == 1
        eventually(lambda: len(recorder.events) == 2)
    assert bodies(recorder.events[1]) == ["a", "b"]


def test_without_the_response_type_a_batch_succeeds_as_a_whole(
    make_queue: MakeQueue,
) -> None:
    """AWS Lambda Developer Guide, "Handling errors for an SQS event source in Lambda",
    "Implementing partial batch responses" (services-sqs-errorhandling)."""
    queue = make_queue()
    queue.send("bad")
    with mapped(queue, Recorder(failing("bad")), report_failures=False):
        eventually(lambda: not queue.left())


def test_a_changed_visibility_decides_when_a_failed_message_returns(
    make_queue: MakeQueue,
) -> None:
    """Amazon SQS Developer Guide, "Amazon SQS visibility timeout", "Changing the
    visibility timeout of a message" (sqs-visibility-timeout)."""
    queue = make_queue(VisibilityTimeout="30")
    queue.send("bad")

    def rule(event: dict[str, Any]) -> Any:
        queue.client.change_message_visibility(
            QueueUrl=queue.url,
            ReceiptHandle=event["Records"][0]["receiptHandle"],
            VisibilityTimeout=1,
        )
        return failing("bad")(event)

    recorder = Recorder(rule)
    with mapped(queue, recorder):
        eventually(lambda: len(recorder.events) >= 2, 5)


def test_a_message_is_a_dead_letter_after_the_receive_count(
    make_queue: MakeQueue,
) -> None:
    """Amazon SQS Developer Guide, "Using dead-letter queues in Amazon SQS"
    (sqs-dead-letter-queues)."""
    dead_letters = make_queue("-dead-letters")
    policy = {
        "deadLetterTargetArn": dead_letters.source.queue_arn,
        "maxReceiveCount": 2,
    }
    queue = make_queue(VisibilityTimeout="1", RedrivePolicy=json.dumps(policy))
    queue.send("poison", "good")
    recorder = Recorder(failing("poison"))
    with mapped(queue, recorder):
        eventually(dead_letters.left)
    tries = sum("poison" in bodies(event) for event in recorder.events)
    assert tries == 2
    assert queue.left() == 0
    assert [message["Body"] for message in dead_letters.receive()] == ["poison"]


def test_no_more_batches_at_once_than_maximum_concurrency(
    make_queue: MakeQueue,
) -> None:
    """AWS Lambda Developer Guide, "Configuring scaling behavior for SQS event source
    mappings", "Maximum concurrency" (services-sqs-scaling)."""
    queue = make_queue()
    queue.send(*"abcdefgh")
    lock = threading.Lock()
    running: list[int] = [0]
    most: list[int] = []

    def rule(event: dict[str, Any]) -> None:
        with lock:
            running[0] += 1
            most.append(running[0])
        threading.Event().wait(0.05)
        with lock:
            running[0] -= 1

    with mapped(queue, Recorder(rule), 8, batch_size=1, maximum_concurrency=2):
        eventually(lambda: not queue.left())
    assert max(most) == 2


def test_a_throttled_batch_is_tried_again_without_another_receive(
    make_queue: MakeQueue,
) -> None:
    """AWS Lambda Developer Guide, "Handling errors for an SQS event source in Lambda",
    "Backoff strategy for failed invocations" (services-sqs-errorhandling)."""
    queue = make_queue(VisibilityTimeout="30")
    queue.send("a")
    recorder = Recorder(lambda event: None)
    refusals = iter([Throttled(), Throttled()])

    def invoke(payload: bytes) -> Any:
        if refusal := next(refusals, None):
            raise refusal
        return recorder(payload)

    with mapped(queue, invoke):
        eventually(lambda: not queue.left())
    received = recorder.events[0]["Records"][0]["attributes"]["ApproximateReceiveCount"]
    assert received == "1"
