"""Bring back what the quarantine holds: events into the stream, pages into the queue.

What Mixpanel has already is not shown twice, and a page that took effect changes
nothing, so a replay can be repeated. Objects stay where they are until they expire.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

from bridge.cohorts.message import read as read_message
from bridge.cohorts.stores import SqsQueue
from bridge.currents.decode import read as read_event
from bridge.currents.pack import Stream, pack
from bridge.errors import MalformedInput
from bridge.quarantine import QuarantinedItem, from_lines
from cli.stack import RunningStack

NOT_REPLAYABLE = "left: it is no event and no page"


def kept(stack: RunningStack, flow: str, date: str) -> Iterator[QuarantinedItem]:
    """The items of one flow, of one day (YYYY-MM-DD) or of all."""
    s3 = stack.client("s3")
    bucket = stack.resources["DataBucket"]
    prefix = f"quarantine/{flow}/" + (f"date={date}/" if date else "")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    for page in pages:
        for entry in page.get("Contents", ()):
            if entry["Key"].endswith(".ndjson"):
                content = s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
                yield from from_lines(content)


def replay_events(
    stack: RunningStack, items: Iterator[QuarantinedItem]
) -> Counter[str]:
    """Put events back into the stream; how many, and what was left."""
    done: Counter[str] = Counter()

    def events() -> Iterator[bytes]:
        for item in items:
            if read_event(item.original).problem:
                done[NOT_REPLAYABLE] += 1
            else:
                done["replayed"] += 1
                yield item.original

    stream = Stream(stack.client("kinesis"), stack.resources["CurrentsStream"])
    stream.put(pack(events()))
    return done


def replay_pages(stack: RunningStack, items: Iterator[QuarantinedItem]) -> Counter[str]:
    """Put pages back into the queue; how many, and what was left."""
    queue = SqsQueue(stack.client("sqs"), stack.resources["CohortQueue"])
    done: Counter[str] = Counter()
    for item in items:
        try:
            queue.send(read_message(item.original.decode("utf-8", "replace")))
        except MalformedInput:
            done[NOT_REPLAYABLE] += 1
        else:
            done["replayed"] += 1
    return done


def redrive(stack: RunningStack) -> int:
    """Move pages from the dead-letter queue back; how many."""
    sqs: Any = stack.client("sqs")
    queue, dead = (
        stack.resources[name] for name in ("CohortQueue", "CohortDeadLetterQueue")
    )
    moved = 0
    while True:
        answer = sqs.receive_message(
            QueueUrl=dead, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"]
        )
        messages = answer.get("Messages", ())
        if not messages:
            return moved
        for message in messages:
            # Another id than before: the old one may still be remembered.
            again = f"{message['MessageId']} again".encode()
            sqs.send_message(
                QueueUrl=queue,
                MessageBody=message["Body"],
                MessageGroupId=message["Attributes"]["MessageGroupId"],
                MessageDeduplicationId=hashlib.sha256(again).hexdigest(),
            )
            sqs.delete_message(QueueUrl=dead, ReceiptHandle=message["ReceiptHandle"])
            moved += 1
