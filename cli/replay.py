"""Bring back what the quarantine holds: events into the stream, pages into the queue.

What Mixpanel has already is not shown twice, and a page that took effect changes
nothing, so a replay can be repeated. Objects stay where they are until they expire.
"""

import hashlib
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from bridge.aws.clients import answering
from bridge.cohorts.adapters.sqs_queue import SqsQueue
from bridge.cohorts.messages import read as read_message
from bridge.credentials import MixpanelCredentials, Secret
from bridge.currents.decode.record import read
from bridge.currents.delivery.prepare import events_of, key_of, prepare
from bridge.currents.mapping.result import Filtered
from bridge.currents.mapping.transform import Mapper
from bridge.currents.rules_source import RulesFile, hashing_key
from bridge.currents.stream.arrival import partition_key
from bridge.currents.stream.pack import pack
from bridge.errors import MalformedInput
from bridge.mixpanel.distinct_ids import DEVICE_PREFIX
from bridge.quarantine import Key, QuarantinedItem, from_lines
from bridge.settings import AnonymousUsers
from cli.stack import RunningStack

NOT_REPLAYABLE = "left: it is no page"


def kept(stack: RunningStack, flow: str, date: str | None) -> Iterator[QuarantinedItem]:
    """The items of one flow, of one day (YYYY-MM-DD) or of all.

    Raises `MalformedInput` naming the object that the quarantine did not write.
    """
    s3 = stack.client("s3")
    bucket = stack.resources["DataBucket"]
    prefix = f"quarantine/{flow}/" + (f"date={date}/" if date else "")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    for page in pages:
        for entry in page.get("Contents", ()):
            if entry["Key"].endswith(".ndjson"):
                content = s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
                try:
                    yield from from_lines(content)
                except MalformedInput as error:
                    text = f"s3://{bucket}/{entry['Key']} is damaged in {error}"
                    raise MalformedInput(error.reason, text) from None


@dataclass(frozen=True, slots=True)
class ChangedKey:
    """An event that the present mapping makes another event of."""

    position: str
    mapping: str
    before: Key
    now: Key


@dataclass(slots=True)
class ReplayedEvents:
    """How many events were put back or left, and which of them come under another key.

    Mixpanel tells events apart by the key: where one was taken under its key of before,
    it will stand beside itself.
    """

    counts: Counter[str] = field(default_factory=Counter)
    changed: list[ChangedKey] = field(default_factory=list)


def replay_events(
    stack: RunningStack, items: Iterable[QuarantinedItem]
) -> ReplayedEvents:
    """Put back into the stream what the present mapping can make an event of.

    The first arrival goes along, for it bounds the time and so belongs to the key.
    """
    done = ReplayedEvents()
    mappers = _mappers(stack)
    kinesis: Any = stack.client("kinesis")

    def put(arrived: float, data: bytes) -> None:
        with answering("stream"):
            kinesis.put_record(
                StreamName=stack.resources["CurrentsStream"],
                Data=data,
                PartitionKey=partition_key(arrived, data),
            )

    for arrived, group in groupby(items, lambda item: item.arrived):
        events: list[bytes] = []
        for item in group:
            problem = _judge(item, done, mappers)
            if problem:
                done.counts[f"left: {problem}"] += 1
                continue
            if isinstance(read(item.original).event, dict):
                events.append(item.original)
            else:
                # A whole record that could not be read at the time.
                put(arrived, item.original)
            done.counts["replayed"] += 1
        for data in pack(events):
            put(arrived, data)
    return done


def _mappers(stack: RunningStack) -> dict[AnonymousUsers, Mapper]:
    """As the importer maps now, under the customer's rules; raises as they are read."""
    rules = RulesFile(
        stack.client("s3"), stack.resources["DataBucket"], stack.rules_key
    ).read()
    secret = Secret(
        stack.resources["MixpanelSecret"],
        MixpanelCredentials,
        client=stack.client("secretsmanager"),
    )
    key = hashing_key(rules, secret)
    return {setting: Mapper(setting, rules, key) for setting in AnonymousUsers}


def _judge(
    item: QuarantinedItem,
    done: ReplayedEvents,
    mappers: Mapping[AnonymousUsers, Mapper],
) -> str:
    """Why it is of no use to replay this; its change of key is noted."""
    # Whoever has a device for a key was taken along by the setting.
    as_device = item.key is not None and item.key[1].startswith(DEVICE_PREFIX)
    anonymous = AnonymousUsers.DEVICE if as_device else AnonymousUsers.SKIP
    problem = "it holds no events"
    for decoded in events_of(item.original):
        try:
            prepared = prepare(decoded, item.arrived or time.time(), mappers[anonymous])
        except MalformedInput as error:
            problem = error.reason
            continue
        if isinstance(prepared, Filtered):
            problem = prepared.rule
            continue
        now = key_of(prepared[0])
        if item.key and item.key != now:
            done.changed.append(ChangedKey(item.position, item.mapping, item.key, now))
        return ""
    return problem


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
    """Move pages from the dead-letter queue back; how many.

    What could not be moved is given back at once, for a repeated run has to find it.
    """
    sqs: Any = stack.client("sqs")
    queue, dead = (
        stack.resources[name] for name in ("CohortQueue", "CohortDeadLetterQueue")
    )
    moved = 0
    while messages := _received(sqs, dead):
        for number, message in enumerate(messages):
            try:
                _move(sqs, message, dead, queue)
            except BaseException:
                _defer(sqs, messages[number:], dead)
                raise
            moved += 1
    return moved


def _received(sqs: Any, dead: str) -> list[Any]:
    answer = sqs.receive_message(
        QueueUrl=dead,
        MaxNumberOfMessages=10,
        MessageSystemAttributeNames=["All"],
        # Without a wait some of the queue's servers are not asked.
        WaitTimeSeconds=1,
    )
    return list(answer.get("Messages", ()))


def _move(sqs: Any, message: Any, dead: str, queue: str) -> None:
    # Another id than before: the old one may still be remembered.
    again = f"{message['MessageId']} again".encode()
    sqs.send_message(
        QueueUrl=queue,
        MessageBody=message["Body"],
        MessageGroupId=message["Attributes"]["MessageGroupId"],
        MessageDeduplicationId=hashlib.sha256(again).hexdigest(),
    )
    sqs.delete_message(QueueUrl=dead, ReceiptHandle=message["ReceiptHandle"])


def _defer(sqs: Any, messages: list[Any], dead: str) -> None:
    """As far as that works; the queue does it by itself after half a minute."""
    for message in messages:
        with suppress(BotoCoreError, ClientError):
            sqs.change_message_visibility(
                QueueUrl=dead,
                ReceiptHandle=message["ReceiptHandle"],
                VisibilityTimeout=0,
            )
