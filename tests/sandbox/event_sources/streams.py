"""Streams of one test's own, and handlers that fail at chosen records."""

import base64
import contextlib
import time
from collections.abc import Iterator
from typing import Any

from sandbox.cloud import Cloud
from sandbox.cloudformation.settings import KinesisSource
from sandbox.event_sources.kinesis import KinesisMapping, Pace
from sandbox.lambda_runtime.destinations import Destinations
from sandbox.lambda_runtime.invocation import Invoke
from tests.sandbox.recorder import Recorder

ARN = "arn:aws:lambda:us-east-1:123456789012:function:importer"


class Stream:
    """A stream of one test."""

    def __init__(self, cloud: Cloud, name: str) -> None:
        self._cloud = cloud
        self.name = name
        self.client = cloud.client("kinesis")
        self.client.create_stream(StreamName=name, ShardCount=1)

    def put(self, *data: str, key: str = "k") -> None:
        self.client.put_records(
            StreamName=self.name,
            Records=[{"Data": d.encode(), "PartitionKey": key} for d in data],
        )

    @contextlib.contextmanager
    def mapped(
        self, invoke: Invoke, *, clock: Any = time.time, **settings: Any
    ) -> Iterator[KinesisMapping]:
        arn = f"arn:aws:kinesis:us-east-1:123456789012:stream/{self.name}"
        chosen = {"starting_position": "TRIM_HORIZON", "report_failures": True}
        mapping = KinesisMapping(
            KinesisSource("Importer", arn, **{**chosen, **settings}),
            self.client,
            invoke,
            ARN,
            Destinations(self._cloud.client),
            Pace(poll=0.02, first_retry=0.02, longest_retry=0.1, clock=clock),
        )
        mapping.start()
        try:
            yield mapping
        finally:
            mapping.stop()


def data(event: dict[str, Any]) -> list[str]:
    return [
        base64.b64decode(record["kinesis"]["data"]).decode()
        for record in event["Records"]
    ]


def batches(recorder: Recorder) -> list[str]:
    """Each batch as one word, its records being letters."""
    return ["".join(data(event)) for event in recorder.events]


def failing_at(*letters: str) -> Any:
    """A handler that reports the records with these data as failed."""

    def rule(event: dict[str, Any]) -> Any:
        failures = [
            {"itemIdentifier": record["kinesis"]["sequenceNumber"]}
            for record, letter in zip(event["Records"], data(event), strict=True)
            if letter in letters
        ]
        return {"batchItemFailures": failures}

    return rule


def raising_on(*letters: str) -> Any:
    def rule(event: dict[str, Any]) -> None:
        if set(letters) & set(data(event)):
            raise RuntimeError("on purpose")

    return rule


def once(first: Any) -> Any:
    """The first invocation answers by `first`, all others succeed."""
    rules = iter([first])

    def rule(event: dict[str, Any]) -> Any:
        chosen = next(rules, None)
        return chosen(event) if chosen else None

    return rule
