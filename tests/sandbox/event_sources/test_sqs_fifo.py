"""FIFO queues: order and blocking of groups, de-duplication, dead letters."""

import json
import threading
import time
from typing import Any

from tests.sandbox.queues import MakeQueue, bodies, failing, mapped
from tests.sandbox.recorder import Recorder, eventually


def handled_by(recorder: Recorder) -> list[str]:
    """All bodies in the order in which they were handed over."""
    return [body for event in recorder.events for body in bodies(event)]


def test_order_is_kept_within_a_group(make_queue: MakeQueue) -> None:
    """Amazon SQS Developer Guide, "FIFO queue delivery logic in Amazon SQS"
    (FIFO-queues-understanding-logic)."""
    queue = make_queue(".fifo", FifoQueue="true")
    sent = [str(number) for number in range(25)]
    queue.send(*sent, group="g")
    recorder = Recorder(lambda event: None)
    with mapped(queue, recorder, 4):
        eventually(lambda: not queue.left())
    assert handled_by(recorder) == sent


def test_a_group_has_one_batch_in_flight_while_others_go_on(
    make_queue: MakeQueue,
) -> None:
    """AWS Lambda Developer Guide, "Using Lambda with Amazon SQS": messages of a group
    are handled in order and a group waits for its batch (with-sqs)."""
    queue = make_queue(".fifo", FifoQueue="true")
    queue.send("slow", "after", group="blocked")
    released = threading.Event()
    order: list[str] = []

    def rule(event: dict[str, Any]) -> None:
        if bodies(event)[0] == "slow":
            released.wait(10)
        order.extend(bodies(event))

    with mapped(queue, Recorder(rule), 4, batch_size=1):
        time.sleep(0.3)
        queue.send("x", "y", group="free")
        eventually(lambda: len(order) == 2)
        assert order == ["x", "y"]
        released.set()
        eventually(lambda: not queue.left())
    assert order == ["x", "y", "slow", "after"]


def test_a_failed_message_blocks_its_group_until_it_returns(
    make_queue: MakeQueue,
) -> None:
    """Amazon SQS Developer Guide, "FIFO queue delivery logic in Amazon SQS": no message
    of a group is given while an earlier one is in flight
    (FIFO-queues-understanding-logic)."""
    queue = make_queue(".fifo", FifoQueue="true", VisibilityTimeout="2")
    queue.send("first", "second", group="g")
    queue.send("other", group="h")
    failures = iter([failing("first")])

    def rule(event: dict[str, Any]) -> Any:
        answer = next(failures, None)
        return answer(event) if answer and "first" in bodies(event) else None

    recorder = Recorder(rule)
    with mapped(queue, recorder, batch_size=1):
        eventually(lambda: not queue.left())
    handled = handled_by(recorder)
    assert handled.index("other") < 3
    assert [body for body in handled if body != "other"] == [
        "first",
        "first",
        "second",
    ]


def test_messages_that_time_out_apart_keep_their_order(make_queue: MakeQueue) -> None:
    """Amazon SQS Developer Guide, "FIFO queue delivery logic in Amazon SQS"
    (FIFO-queues-understanding-logic). moto alone gives the second message first."""
    queue = make_queue(".fifo", FifoQueue="true", VisibilityTimeout="30")
    queue.send("first", "second", group="g")
    first, second = queue.receive()
    for message, seconds in ((first, 1), (second, 2)):
        queue.client.change_message_visibility(
            QueueUrl=queue.url,
            ReceiptHandle=message["ReceiptHandle"],
            VisibilityTimeout=seconds,
        )
    time.sleep(1.3)
    assert queue.receive() == []
    time.sleep(1.0)
    assert [message["Body"] for message in queue.receive()] == ["first", "second"]


def test_a_batch_prefers_one_group(make_queue: MakeQueue) -> None:
    """Amazon SQS Developer Guide, "FIFO queue delivery logic in Amazon SQS": as many
    messages of the same group as possible (FIFO-queues-understanding-logic)."""
    queue = make_queue(".fifo", FifoQueue="true")
    for number in range(3):
        queue.send(f"g{number}", group="g")
        queue.send(f"h{number}", group="h")
    received = [message["Body"] for message in queue.receive()]
    assert received == ["g0", "g1", "g2", "h0", "h1", "h2"]


def test_a_repeated_deduplication_id_is_accepted_but_not_delivered(
    make_queue: MakeQueue,
) -> None:
    """Amazon SQS Developer Guide, "Using the message deduplication ID in Amazon SQS":
    also after the first message was deleted (using-messagededuplicationid-property).
    moto alone forgets a deleted message."""
    queue = make_queue(".fifo", FifoQueue="true")
    with mapped(queue, recorder := Recorder(lambda event: None)):
        queue.send("page", group="g")
        eventually(lambda: recorder.events and not queue.left())
        queue.send("page", group="g")
        queue.send("next", group="g")
        eventually(lambda: len(recorder.events) == 2 and not queue.left())
    assert handled_by(recorder) == ["page", "next"]


def test_the_deduplication_scope_may_be_the_group(make_queue: MakeQueue) -> None:
    """Amazon SQS Developer Guide, "High throughput for FIFO queues in Amazon SQS",
    DeduplicationScope (high-throughput-fifo)."""
    queue = make_queue(
        ".fifo",
        FifoQueue="true",
        ContentBasedDeduplication="true",
        DeduplicationScope="messageGroup",
    )
    for group in ("g", "h", "g"):
        queue.client.send_message(
            QueueUrl=queue.url, MessageBody="same", MessageGroupId=group
        )
    assert len(queue.receive()) == 2


def test_sequence_numbers_grow(make_queue: MakeQueue) -> None:
    """Amazon SQS API Reference, "SendMessage", SequenceNumber: it continues to increase
    for a group. moto's are random."""
    queue = make_queue(".fifo", FifoQueue="true")
    queue.send(*"abcdefgh", group="g")
    numbers = [int(m["Attributes"]["SequenceNumber"]) for m in queue.receive()]
    assert numbers == sorted(numbers)


def test_a_dead_letter_frees_its_group(make_queue: MakeQueue) -> None:
    """Amazon SQS Developer Guide, "Using dead-letter queues in Amazon SQS": the
    dead-letter queue of a FIFO queue is FIFO too (sqs-dead-letter-queues)."""
    dead_letters = make_queue("-dead-letters.fifo", FifoQueue="true")
    policy = {
        "deadLetterTargetArn": dead_letters.source.queue_arn,
        "maxReceiveCount": 2,
    }
    queue = make_queue(
        ".fifo",
        FifoQueue="true",
        VisibilityTimeout="1",
        RedrivePolicy=json.dumps(policy),
    )
    queue.send("poison", "after", group="g")
    recorder = Recorder(failing("poison"))
    with mapped(queue, recorder, batch_size=1):
        eventually(lambda: dead_letters.left() and not queue.left())
    handled = handled_by(recorder)
    assert handled == ["poison", "poison", "after"]
    [letter] = dead_letters.receive()
    assert letter["Body"] == "poison"
    assert letter["Attributes"]["MessageGroupId"] == "g"


def test_no_message_is_lost_when_many_send_and_delete_at_once(
    make_queue: MakeQueue,
) -> None:
    """Amazon SQS Developer Guide, "Amazon SQS FIFO queue": exactly what was accepted is
    delivered (sqs-fifo-queues). moto alone loses messages sent during a delete."""
    queue = make_queue(".fifo", FifoQueue="true")

    def send(sender: int) -> None:
        for number in range(30):
            queue.send(str(number), group=f"g{sender}")

    recorder = Recorder(lambda event: None)
    with mapped(queue, recorder, 4):
        threads = [threading.Thread(target=send, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        eventually(lambda: not queue.left(), 20)
    delivered = [
        (record["attributes"]["MessageGroupId"], record["body"])
        for event in recorder.events
        for record in event["Records"]
    ]
    assert len(delivered) == len(set(delivered)) == 180
