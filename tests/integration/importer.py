"""The function currents_importer with a Mixpanel of its own, and batches for it."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from bridge.quarantine import QuarantinedItem, from_lines
from functions.currents_importer import app
from sandbox.braze.currents import CurrentsSource
from sandbox.mixpanel import MixpanelStandIn, rules
from tests.integration.stack import PROJECT_TOKEN, Stack, sample

NONE_FAILED: dict[str, Any] = {"batchItemFailures": []}
NOW = 1_795_600_000.0


@pytest.fixture
def mixpanel(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MixpanelStandIn]:
    app.importer.cache_clear()
    with MixpanelStandIn(project_token=PROJECT_TOKEN, clock=lambda: NOW) as running:
        monkeypatch.setenv("MIXPANEL_URL", running.url)
        monkeypatch.setattr(app.importer().transport, "_sleep", lambda _: None)
        yield running


def batch(*records: Any, first: int = 1000) -> dict[str, Any]:
    """A Kinesis event with these records, each an event, a list of them, or bytes."""
    (pattern, *_) = sample("currents_importer")["Records"]
    made = []
    for number, record in enumerate(records):
        data = record if isinstance(record, bytes) else json.dumps(record).encode()
        kinesis = pattern["kinesis"] | {
            "data": base64.b64encode(data).decode(),
            "sequenceNumber": str(first + number),
        }
        made.append(pattern | {"kinesis": kinesis})
    return {"Records": made}


def source() -> CurrentsSource:
    return CurrentsSource(["cust-1", "cust-2"], 1_767_225_600)


def failed(answer: dict[str, Any]) -> list[str]:
    return [item["itemIdentifier"] for item in answer["batchItemFailures"]]


def kept(stack: Stack) -> list[QuarantinedItem]:
    """What was quarantined, in the order of its positions."""
    pages = stack.s3.get_paginator("list_objects_v2").paginate(
        Bucket=stack.bucket, Prefix="quarantine/currents/"
    )
    return [
        item
        for page in pages
        for entry in page.get("Contents", ())
        for item in from_lines(
            stack.s3.get_object(Bucket=stack.bucket, Key=entry["Key"])["Body"].read()
        )
    ]


def refuse_events_with(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that only Mixpanel knows, and a message that quotes what it met."""
    real = rules.failure

    def failure(event: Any, *rest: Any) -> Any:
        if text in str(event):
            person = event["properties"].get("distinct_id")
            return "properties.url", f"'properties.url' is invalid: {text} of {person}"
        return real(event, *rest)

    monkeypatch.setattr(rules, "failure", failure)
