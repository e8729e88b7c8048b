"""The cohort flow by hand: pages through the webhook, messages through the consumer."""

import json
from typing import Any

from functions.cohort_consumer import app as consumer
from functions.cohort_webhook import app as webhook
from tests.integration.stack import Context, Stack, sample

COHORT = ("mixpanel_cohorts", "mixpanel_8120045")
"""The sample cohort in Braze: the attribute, and its value there."""


def accept(name: str, action: str = "", **changes: Any) -> None:
    """Post a sample event to the webhook, with changes to its parameters."""
    event = sample(name)
    body = json.loads(event["body"])
    body["action"] = action or body["action"]
    body["parameters"] |= changes
    answer = webhook.handler(event | {"body": json.dumps(body)}, Context())
    assert answer["statusCode"] == 200


def consume(stack: Stack, seconds: float = 60.0) -> list[str]:
    """Process the visible messages; the ids of those that failed."""
    records = stack.messages()
    answer = consumer.handler({"Records": records}, Context(seconds))
    failed = [item["itemIdentifier"] for item in answer["batchItemFailures"]]
    stack.acknowledge([r for r in records if r["messageId"] not in failed])
    return failed


def make_visible(stack: Stack) -> None:
    """End the pauses of the messages that failed."""
    from moto.sqs.models import sqs_backends

    for region in sqs_backends["123456789012"].values():
        for queue in region.queues.values():
            for message in queue._messages:
                message.visible_at = 0
