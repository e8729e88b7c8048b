"""The webhook's real handler in this process, on stores that are fast.

For tests of many thousands of calls: S3 is a dictionary and SQS a list; the ledger is
on moto, or in memory where moto would take an hour. It is emptied now and then: moto
takes longer the more a partition holds.
"""

import json
from dataclasses import dataclass, field
from io import BytesIO
from itertools import count
from typing import Any

from botocore.exceptions import ClientError

from bridge.quarantine import QuarantinedItem, from_lines
from functions.cohort_webhook import app
from sandbox.cloudformation.settings import ApiSettings, Route
from sandbox.http_api.payload import Request, event_of
from tests.fakes.memory_ledger import MemoryLedger
from tests.integration.stack import Context, Stack

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
            self.empty_ledger()
        request = Request("POST", "/cohorts", headers, body, request_id=f"r{number}")
        return self.invoke(event_of(request, ROUTE, {}, API, NOW + number))

    def empty_ledger(self) -> None:
        if self.ledger is None:
            self.stack.empty_ledger()
        else:
            self.ledger = MemoryLedger()

    def invoke(self, event: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Call with an event of the API, through JSON as Lambda passes it."""
        answer = app.handler(json.loads(json.dumps(event)), Context())
        answer = json.loads(json.dumps(answer))
        return answer["statusCode"], json.loads(answer["body"])

    def take_quarantine(self) -> list[QuarantinedItem]:
        """What was quarantined since this was last called; the bucket is emptied."""
        items = [
            item
            for key, content in self.bucket.objects.items()
            if key.startswith("quarantine/")
            for item in from_lines(content)
        ]
        self.bucket.objects.clear()
        return items
