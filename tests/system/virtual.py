"""Days of the cohort flow in seconds: both real handlers, on a clock that tests move.

Real are the handlers and all of the bridge below them, the wire to the stand-in Braze,
and moto's DynamoDB and Secrets Manager. S3 is a dictionary. The FIFO queue is a model
of what AWS documents: order and blocking by group, visibility, receive counts, redrive.
A stall of Braze is the time-out that the client would have seen, without the wait.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from threading import Lock
from typing import Any

import requests

from functions.cohort_consumer import app as consumer
from functions.cohort_webhook import app as webhook
from sandbox.braze import BrazeStandIn
from sandbox.http_api.payload import Request, event_of
from tests.integration.stack import PASSWORD, Context, Stack
from tests.system.doors import API, ROUTE, Bucket

CONSUMER_SECONDS, VISIBILITY, RECEIVES, BATCH = 120.0, 720.0, 200, 10
"""As in the template; test_virtual_world_is_the_templates holds them to it."""


@dataclass
class Message:
    """One message of the queue; `visible_at` and `sent` are seconds."""

    id: str
    group: str
    body: str
    sent: float
    visible_at: float = 0.0
    received: int = 0


@dataclass
class FifoQueue:
    """A FIFO queue with its dead-letter queue."""

    clock: Callable[[], float]
    waiting: list[Message] = field(default_factory=list)
    dead_letters: list[Message] = field(default_factory=list)
    most_received: int = 0
    _ids: "count[int]" = field(default_factory=lambda: count(1))
    _sent: dict[str, float] = field(default_factory=dict)

    def send_message(self, **sent: Any) -> None:
        """Drops a repeated de-duplication id for five minutes."""
        name, now = sent["MessageDeduplicationId"], self.clock()
        if now - self._sent.get(name, float("-inf")) < 300:
            return
        self._sent[name] = now
        self.waiting.append(
            Message(
                f"m{next(self._ids)}", sent["MessageGroupId"], sent["MessageBody"], now
            )
        )

    def change_message_visibility(self, **changed: Any) -> None:
        for message in self.waiting:
            if message.id == changed["ReceiptHandle"]:
                message.visible_at = self.clock() + changed["VisibilityTimeout"]

    def receive(self) -> list[Message]:
        """Up to ten, group by group; a group with a message in flight is blocked."""
        now = self.clock()
        blocked = {m.group for m in self.waiting if m.visible_at > now}
        for message in [m for m in self.waiting if m.received >= RECEIVES]:
            if message.group not in blocked:
                self.waiting.remove(message)
                self.dead_letters.append(message)
        free = [m for m in self.waiting if m.group not in blocked]
        order = list(dict.fromkeys(m.group for m in free))
        batch = sorted(free, key=lambda m: order.index(m.group))[:BATCH]
        for message in batch:
            message.received += 1
            message.visible_at = now + VISIBILITY
            self.most_received = max(self.most_received, message.received)
        return batch

    def delete(self, message: Message) -> None:
        self.waiting.remove(message)

    def next_at(self) -> float:
        """When the first group is free: no message of it is in flight then."""
        free_at: dict[str, float] = {}
        for message in self.waiting:
            last = free_at.get(message.group, 0.0)
            free_at[message.group] = max(last, message.visible_at)
        return min(free_at.values())


@dataclass
class VirtualWorld:
    """`braze_fault` names the fault of the next call to Braze, or None."""

    stack: Stack
    braze: BrazeStandIn
    now: float = 1_795_518_000.0
    bucket: Bucket = field(default_factory=Bucket)
    braze_fault: Callable[[bytes], str | None] = lambda _: None
    batches: int = 0
    handled: list[tuple[float, Message]] = field(default_factory=list)
    _ids: "count[int]" = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.queue = FifoQueue(lambda: self.now)

    def post(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Mixpanel calls the webhook."""
        request = Request(
            "POST",
            "/cohorts",
            [("authorization", _basic()), ("content-type", "application/json")],
            json.dumps(body).encode(),
            request_id=f"r{next(self._ids)}",
        )
        self.now += 0.5
        answer = webhook.handler(event_of(request, ROUTE, {}, API, self.now), Context())
        return answer["statusCode"], json.loads(answer["body"])

    def work(self, until: float) -> None:
        """The mapping polls until the queue is empty or it is so late."""
        while self.queue.waiting and self.now < until:
            batch = self.queue.receive()
            if not batch:
                if not self.queue.waiting:
                    return
                self.now = min(max(self.now, self.queue.next_at()), until)
                continue
            self.deliver(batch)

    def deliver(self, batch: list[Message]) -> None:
        """One invocation of the consumer, and the deletion of what succeeded."""
        self.batches += 1
        deadline = self.now + CONSUMER_SECONDS
        context = _Deadline(lambda: deadline - self.now)
        answer = consumer.handler({"Records": [_record(m) for m in batch]}, context)
        failed = {each["itemIdentifier"] for each in answer["batchItemFailures"]}
        for message in batch:
            if message.id not in failed:
                self.queue.delete(message)
                self.handled.append((self.now, message))

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class _Deadline(Context):
    def __init__(self, left: Callable[[], float]) -> None:
        super().__init__()
        self._left = left

    def get_remaining_time_in_millis(self) -> int:
        return int(self._left() * 1000)


class BrazeWire(requests.Session):
    """The wire to Braze, with the world's faults on it."""

    def __init__(self, world: VirtualWorld) -> None:
        super().__init__()
        self._world = world
        self._one = Lock()

    def post(self, url: Any, data: Any = None, **options: Any) -> Any:  # type: ignore[override]
        with self._one:  # so that a call meets its own fault
            return self._post(url, data, **options)

    def _post(self, url: Any, data: Any, **options: Any) -> Any:
        fault = self._world.braze_fault(data)
        self._world.now += 0.1
        if fault == "stall":
            self._world.now += options["timeout"][1]
            raise requests.ReadTimeout
        self._world.braze.faults.plan(fault or "", path="/users/track")
        return super().post(url, data=data, **options)


def _basic() -> str:
    return requests.auth._basic_auth_str("mixpanel", PASSWORD)


def _record(message: Message) -> dict[str, Any]:
    return {
        "messageId": message.id,
        "receiptHandle": message.id,
        "body": message.body,
        "attributes": {
            "ApproximateReceiveCount": str(message.received),
            "SentTimestamp": str(int(message.sent * 1000)),
            "MessageGroupId": message.group,
        },
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-west-1:111122223333:cohorts.fifo",
    }
