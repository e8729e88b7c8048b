"""The webhook's real handler in this process, with stores in memory around it.

For tests of many thousand calls: S3 and SQS are lists, the ledger is on moto, or in
memory where moto would take an hour. It is emptied now and then: moto takes longer the
more a partition holds.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from itertools import count
from typing import Any

import pytest
from botocore.exceptions import ClientError

from bridge.aws import clients
from bridge.quarantine import QuarantinedItem, from_lines
from functions.cohort_webhook import app
from sandbox.cloudformation.stack import ApiSettings, Route
from sandbox.http_api.payload import Request, event_of
from tests.fakes.memory_ledger import MemoryLedger
from tests.integration.stack import (
    PASSWORD,
    Context,
    Stack,
    forget_secrets,
    stack,
)

__all__ = [
    "PASSWORD",
    "Door",
    "Stack",
    "door",
    "forget_secrets",
    "stack",
    "swift_door",
]

ROUTE = Route("F", "api", "POST", "/cohorts")
API = ApiSettings("abcdefghij")
NOW = 1_795_518_000.0


class Bucket:
    """As much of S3 as the flow uses."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put_object(self, **put: Any) -> None:
        self.objects[put["Key"]] = put["Body"]

    def get_object(self, **wanted: Any) -> dict[str, Any]:
        if wanted["Key"] not in self.objects:
            raise ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")
        return {"Body": BytesIO(self.objects[wanted["Key"]])}


class Queue:
    """As much of SQS as the webhook uses."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def send_message(self, **message: Any) -> None:
        self.sent.append(message)


@dataclass
class Door:
    """Calls the handler as the HTTP API would."""

    stack: Stack
    bucket: Bucket = field(default_factory=Bucket)
    queue: Queue = field(default_factory=Queue)
    calls: "count[int]" = field(default_factory=lambda: count(1))
    ledger: MemoryLedger | None = None

    def call(
        self, body: bytes, headers: list[tuple[str, str]]
    ) -> tuple[int, dict[str, Any]]:
        """Status and JSON of the answer; whatever the handler raises goes through."""
        number = next(self.calls)
        if number % 20 == 0:
            self.forget()
        request = Request("POST", "/cohorts", headers, body, request_id=f"r{number}")
        return self.invoke(event_of(request, ROUTE, {}, API, NOW + number))

    def forget(self) -> None:
        """Empty the ledger."""
        if self.ledger is not None:
            self.ledger = MemoryLedger()
            return
        self.stack.forget()

    def invoke(self, event: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Call with a ready event, through JSON as Lambda passes it."""
        answer = app.handler(json.loads(json.dumps(event)), Context())
        told = json.loads(json.dumps(answer))
        return told["statusCode"], json.loads(told["body"])

    def kept(self) -> list[QuarantinedItem]:
        """What was put aside since the last look."""
        items = [
            item
            for key, content in self.bucket.objects.items()
            if key.startswith("quarantine/")
            for item in from_lines(content)
        ]
        self.bucket.objects.clear()
        return items


@pytest.fixture
def door(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    made = Door(stack)
    real = clients.create
    fakes = {"s3": made.bucket, "sqs": made.queue}
    monkeypatch.setattr(
        clients, "create", lambda name, *more: fakes.get(name) or real(name, *more)
    )
    app.webhook.cache_clear()
    yield made
    app.webhook.cache_clear()


@pytest.fixture
def swift_door(door: Door, monkeypatch: pytest.MonkeyPatch) -> Door:
    """The ledger is in memory; the model's tests hold the two ledgers to be one."""
    door.ledger = MemoryLedger()
    monkeypatch.setattr(app.Webhook, "_ledger", lambda *_: door.ledger)
    return door
