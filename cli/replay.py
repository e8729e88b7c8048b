"""Replay the quarantine: events into the stream, pages into the queue.

A replay can be repeated: Mixpanel does not show an event twice, and a page that took
effect changes nothing. The objects of the quarantine stay until they expire.
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
from bridge.cohorts.cohort_messages import read as read_message
from bridge.credentials import MixpanelCredentials, Secret
from bridge.currents.decode.record import read
from bridge.currents.delivery.prepare import events_of, key_of, prepare
from bridge.currents.mapping.result import Filtered
from bridge.currents.mapping.transform import Mapper
from bridge.currents.rules_source import RulesFile, hashing_key
from bridge.currents.stream.arrival import partition_key
from bridge.currents.stream.pack import MAX_RECORD, pack
from bridge.errors import MalformedInput
from bridge.mixpanel.distinct_ids import DEVICE_PREFIX
from bridge.quarantine import Key, QuarantinedItem, from_lines
from bridge.reasons import Reason
from bridge.settings import AnonymousUsers
from cli.stack import RunningStack

NOT_REPLAYABLE = "left: not a page"
DELIVERED = frozenset({Reason.RESHAPED, Reason.MASS_REJECTION})
"""Reasons of events that Mixpanel has, or will get without a replay."""


def quarantined_items(
    stack: RunningStack, flow: str, date: str | None
) -> Iterator[QuarantinedItem]:
    """The items of one flow, of one day (YYYY-MM-DD) or of all days.

    Raises `MalformedInput` with the name of an object that cannot be read.
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
    """An event whose key is another under the present mapping."""

    position: str
    mapping: str
    before: Key
    now: Key


@dataclass(slots=True)
class ReplayedEvents:
    """How many events were replayed or left, and those whose key has changed.

    Mixpanel deduplicates by key: an event that it already has under the old key is
    shown a second time under the new one.
    """

    counts: Counter[str] = field(default_factory=Counter)
    changed: list[ChangedKey] = field(default_factory=list)


def replay_events(
    stack: RunningStack, items: Iterable[QuarantinedItem]
) -> ReplayedEvents:
    """Put the events that can be mapped now back into the stream.

    A record keeps the time of its first arrival, which bounds an event's time and so is
    part of its key.
    """
    replayed = ReplayedEvents()
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
            problem = _why_left(item, replayed, mappers)
            if problem:
                replayed.counts[f"left: {problem}"] += 1
                continue
            if isinstance(read(item.original).event, dict):
                events.append(item.original)
            elif len(item.original) <= MAX_RECORD:
                # A whole record, which could not be read at the time.
                put(arrived, item.original)
            else:
                # The body of a call, which fits into no record.
                found = events_of(item.original)
                events += [each.raw for each in found if not each.problem]
            replayed.counts["replayed"] += 1
        for data in pack(events):
            put(arrived, data)
    return replayed


def _mappers(stack: RunningStack) -> dict[AnonymousUsers, Mapper]:
    """The importer's mapping under the current rules; raises as they are read."""
    rules = RulesFile(
        stack.client("s3"), stack.resources["DataBucket"], stack.rules_key
    ).read()
    secret = Secret(
        stack.resources["MixpanelSecret"],
        MixpanelCredentials,
        client=stack.client("secretsmanager"),
    )
    key = hashing_key(rules, secret)
    return {
        setting: Mapper(setting, rules, key, without_user=stack.without_user)
        for setting in AnonymousUsers
    }


def _why_left(
    item: QuarantinedItem,
    replayed: ReplayedEvents,
    mappers: Mapping[AnonymousUsers, Mapper],
) -> str:
    """Why no event of this item can be delivered, or ""; notes a changed key."""
    if item.reason in DELIVERED:
        return item.reason
    # A key with a device shows which setting the item was mapped under.
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
            replayed.changed.append(
                ChangedKey(item.position, item.mapping, item.key, now)
            )
        return ""
    return problem


def replay_pages(stack: RunningStack, items: Iterator[QuarantinedItem]) -> Counter[str]:
    """Put pages back into the queue; how many were replayed, how many left."""
    queue = SqsQueue(stack.client("sqs"), stack.resources["CohortQueue"])
    replayed: Counter[str] = Counter()
    for item in items:
        try:
            queue.send(read_message(item.original.decode("utf-8", "replace")))
        except MalformedInput:
            replayed[NOT_REPLAYABLE] += 1
        else:
            replayed["replayed"] += 1
    return replayed


def redrive(stack: RunningStack) -> int:
    """Move the dead letters back into their queue; how many.

    Messages that could not be moved become visible at once, so that the next run finds
    them.
    """
    sqs: Any = stack.client("sqs")
    queue, dead_letters = (
        stack.resources[name] for name in ("CohortQueue", "CohortDeadLetterQueue")
    )
    moved = 0
    while messages := _received(sqs, dead_letters):
        for number, message in enumerate(messages):
            try:
                _move(sqs, message, dead_letters, queue)
            except BaseException:
                _make_visible(sqs, messages[number:], dead_letters)
                raise
            moved += 1
    return moved


def _received(sqs: Any, dead_letters: str) -> list[Any]:
    answer = sqs.receive_message(
        QueueUrl=dead_letters,
        MaxNumberOfMessages=10,
        MessageSystemAttributeNames=["All"],
        # A short poll asks only some of the queue's servers.
        WaitTimeSeconds=1,
    )
    return list(answer.get("Messages", ()))


def _move(sqs: Any, message: Any, dead_letters: str, queue: str) -> None:
    # A new id, as the queue remembers the old one for five minutes.
    new_id = f"{message['MessageId']} again".encode()
    sqs.send_message(
        QueueUrl=queue,
        MessageBody=message["Body"],
        MessageGroupId=message["Attributes"]["MessageGroupId"],
        MessageDeduplicationId=hashlib.sha256(new_id).hexdigest(),
    )
    sqs.delete_message(QueueUrl=dead_letters, ReceiptHandle=message["ReceiptHandle"])


def _make_visible(sqs: Any, messages: list[Any], dead_letters: str) -> None:
    """On a failure the visibility timeout does the same after half a minute."""
    for message in messages:
        with suppress(BotoCoreError, ClientError):
            sqs.change_message_visibility(
                QueueUrl=dead_letters,
                ReceiptHandle=message["ReceiptHandle"],
                VisibilityTimeout=0,
            )
