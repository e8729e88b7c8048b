"""The function currents_importer by hand: batches for it, and what came of them."""

import base64
import json
from typing import Any

import pytest

from bridge.quarantine import QuarantinedItem, from_lines
from functions.currents_importer import app
from sandbox.braze.currents import CurrentsSource
from sandbox.mixpanel import MixpanelStandIn, rules
from tests.integration.stack import Context, Stack, sample

NONE_FAILED: dict[str, Any] = {"batchItemFailures": []}
NOW = 1_795_600_000.0
"""The time at the stand-in Mixpanel, in epoch seconds."""

CLICK, OPEN = "users.messages.email.Click", "users.messages.email.Open"


def batch(*records: Any, first: int = 1000) -> dict[str, Any]:
    """A Kinesis event with these records, each an event, a list of them, or bytes.

    Their sequence numbers count from `first`.
    """
    (pattern, *_) = sample("currents_importer")["Records"]
    with_data = []
    for number, record in enumerate(records, start=first):
        data = record if isinstance(record, bytes) else json.dumps(record).encode()
        kinesis = pattern["kinesis"] | {
            "data": base64.b64encode(data).decode(),
            "sequenceNumber": str(number),
        }
        with_data.append(pattern | {"kinesis": kinesis})
    return {"Records": with_data}


def source() -> CurrentsSource:
    return CurrentsSource(["cust-1", "cust-2"], 1_767_225_600)


def deliver(*event_types: str) -> bool:
    """Import an event of each of these types; whether none is to come again."""
    made = source()
    event = batch([made.event(each) for each in event_types])
    return not failed(app.handler(event, Context()))


def event_names(mixpanel: MixpanelStandIn) -> list[str]:
    """What Mixpanel took, in order, repeats included."""
    return [each["event"] for each in mixpanel.events]


def failed(answer: dict[str, Any]) -> list[str]:
    """The sequence number from which Lambda is to deliver again, if any."""
    return [item["itemIdentifier"] for item in answer["batchItemFailures"]]


def quarantined_events(stack: Stack) -> list[QuarantinedItem]:
    """The events in quarantine, in the order of their positions."""
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


def reject_events_with(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the stand-in a rule that we lack, whose message quotes the event."""
    real = rules.failure

    def failure(event: Any, *rest: Any) -> Any:
        if text in str(event):
            person = event["properties"].get("distinct_id")
            return "properties.url", f"'properties.url' is invalid: {text} of {person}"
        return real(event, *rest)

    monkeypatch.setattr(rules, "failure", failure)
