"""Replay the quarantine: events into the stream, pages into the queue.

A replay can be repeated: Mixpanel does not show an event twice, and a page that took
effect changes nothing. The objects of the quarantine stay until they expire.
"""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from types import EllipsisType
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from bridge.aws.clients import answering
from bridge.cohorts.adapters.sqs_queue import SqsQueue
from bridge.cohorts.cohort_messages import Message
from bridge.cohorts.cohort_messages import read as read_message
from bridge.credentials import MixpanelCredentials, Secret
from bridge.currents.decode.record import read
from bridge.currents.delivery.prepare import events_of, key_of, prepare
from bridge.currents.mapping.result import Filtered
from bridge.currents.mapping.rules import Rules
from bridge.currents.mapping.transform import Mapper
from bridge.currents.rules_source import RulesFile, hashing_key
from bridge.currents.stream.arrival import partition_key
from bridge.currents.stream.pack import MAX_RECORD, pack
from bridge.errors import MalformedInput
from bridge.mixpanel.distinct_ids import DEVICE_PREFIX
from bridge.quarantine import Key, QuarantinedItem
from bridge.reasons import Reason
from bridge.settings import AnonymousUsers
from cli.cohorts import queue_of
from cli.stack import RunningStack

NOT_REPLAYABLE = "left: not a page"
REFUSED = "left: refused at the door"
OF_THE_CONSUMER = frozenset(
    {
        Reason.CRASH_POISON,
        Reason.MESSAGE,
        Reason.SYNC_UNKNOWN,
        Reason.PAGE_EXPIRED,
        Reason.PAGE_UNREADABLE,
    }
)
"""Reasons that the consumer of the queue states, and none of our doors."""

DELIVERED = frozenset({Reason.RESHAPED, Reason.MASS_REJECTION})
"""Reasons of events that Mixpanel has, or will get without a replay."""


@dataclass(frozen=True, slots=True)
class ChangedKey:
    """An event whose key is another under the present mapping."""

    position: str
    mapping: str
    before: Key
    now: Key


@dataclass
class Replay:
    """What is replayed, or with `dry_run` would be, and how fast.

    `noticed` gets each event whose key has changed: Mixpanel shows it a second
    time if it has it under the old key already. `paced` waits for a number of bytes.
    """

    stack: RunningStack
    dry_run: bool = False
    noticed: Callable[[ChangedKey], None] = lambda _: None
    paced: Callable[[int], None] = lambda _: None

    def put(self, arrived: float, data: bytes) -> None:
        """Put a record into the stream, as one that arrived at this time."""
        if self.dry_run:
            return
        self.paced(len(data))
        with answering("stream"):
            self._kinesis.put_record(
                StreamName=self.stack.resources["CurrentsStream"],
                Data=data,
                PartitionKey=partition_key(arrived, data),
            )

    def send(self, message: Message) -> None:
        """Put a message into the queue of cohorts."""
        if not self.dry_run:
            self._queue.send(message)

    @cached_property
    def _kinesis(self) -> Any:
        return self.stack.client("kinesis")

    @cached_property
    def _queue(self) -> SqsQueue:
        return queue_of(self.stack)


class Pace:
    """Keeps to a number of bytes a second, so that what arrives now finds room."""

    def __init__(
        self,
        per_second: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._per_second = per_second
        self._clock = clock
        self._sleep = sleep
        self._free_at = clock()

    def __call__(self, number: int) -> None:
        """Wait until so many bytes may go."""
        wait = self._free_at - self._clock()
        if wait > 0:
            self._sleep(wait)
        self._free_at = max(self._free_at, self._clock()) + number / self._per_second


def replay_events(replay: Replay, items: Iterable[QuarantinedItem]) -> Counter[str]:
    """Put the events that can be mapped now back into the stream; how many.

    A record keeps the time of its first arrival, which bounds an event's time and so is
    part of its key.
    """
    replayed = Counter[str]()
    mappers = mappers_of(replay.stack)
    for arrived, group in groupby(items, lambda item: item.arrived):
        events: list[bytes] = []
        for item in group:
            problem = _why_left(item, replay, mappers)
            if problem:
                replayed[f"left: {problem}"] += 1
                continue
            if isinstance(read(item.original).event, dict):
                events.append(item.original)
            elif len(item.original) <= MAX_RECORD:
                # A whole record, which could not be read at the time.
                replay.put(arrived, item.original)
            else:
                # The body of a call, which fits into no record.
                found = events_of(item.original)
                events += [each.raw for each in found if not each.problem]
            replayed["replayed"] += 1
        for data in pack(events):
            replay.put(arrived, data)
    return replayed


def mappers_of(
    stack: RunningStack, rules: Rules | EllipsisType | None = ...
) -> dict[AnonymousUsers, Mapper]:
    """The importer's mapping under these rules, or the current ones.

    Raises as they are read.
    """
    if isinstance(rules, EllipsisType):
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
    replay: Replay,
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
            replay.noticed(ChangedKey(item.position, item.mapping, item.key, now))
        return ""
    return problem


def replay_pages(replay: Replay, items: Iterable[QuarantinedItem]) -> Counter[str]:
    """Put pages back into the queue; how many were replayed, how many left.

    Only what the consumer quarantined becomes a message again. A body that one of our
    doors refused stays where it is, however much it looks like a message: its sender
    could command another project's cohort with it.
    """
    replayed: Counter[str] = Counter()
    for item in items:
        if item.reason not in OF_THE_CONSUMER:
            replayed[REFUSED] += 1
            continue
        try:
            replay.send(read_message(item.original.decode("utf-8", "replace")))
        except MalformedInput:
            replayed[NOT_REPLAYABLE] += 1
        else:
            replayed["replayed"] += 1
    return replayed


def waiting_in(stack: RunningStack, queue: str) -> int:
    """How many messages wait in a queue, as far as SQS knows."""
    sqs: Any = stack.client("sqs")
    name: Any = "ApproximateNumberOfMessages"
    found = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=[name])
    return int(found["Attributes"][name])


def redrive(replay: Replay) -> int:
    """Move the dead letters back into their queue; how many.

    Messages that could not be moved become visible at once, so that the next run finds
    them.
    """
    stack = replay.stack
    if replay.dry_run:
        return waiting_in(stack, stack.resources["CohortDeadLetterQueue"])
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
