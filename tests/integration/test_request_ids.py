"""Each log line of each function names the invocation that wrote it."""

import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from functions.cohort_consumer import app as consumer
from functions.cohort_maintenance import app as maintenance
from functions.cohort_webhook import app as webhook
from functions.currents_importer import app as importer
from functions.currents_loader import app as loader
from functions.currents_receiver import app as receiver
from sandbox.mixpanel import MixpanelStandIn
from tests.integration.stack import Context, Stack, sample

FIRST, SECOND = "first-invocation", "second-invocation"


def unreadable_message() -> dict[str, Any]:
    event = sample("cohort_consumer")
    event["Records"][0]["body"] = "not a message"
    return event


type Handler = Callable[[dict[str, Any], Any], Any]
FUNCTIONS: dict[str, tuple[Handler, Callable[[], dict[str, Any]]]] = {
    "webhook": (webhook.handler, lambda: sample("cohort_webhook")),
    "consumer": (consumer.handler, unreadable_message),
    "maintenance": (maintenance.handler, dict),
    "receiver": (receiver.handler, lambda: sample("currents_receiver")),
    "loader": (loader.handler, lambda: sample("currents_loader")),
    "importer": (importer.handler, lambda: sample("currents_importer")),
}


class Invocation(Context):
    def __init__(self, request_id: str) -> None:
        super().__init__()
        self.aws_request_id = request_id


@pytest.fixture(autouse=True)
def cold(stack: Stack, mixpanel: MixpanelStandIn, monkeypatch: Any) -> None:
    monkeypatch.setenv("BRAZE_REST_ENDPOINT", "https://rest.iad-01.braze.com")
    for held in (
        consumer.consumer,
        webhook.webhook,
        loader.loader,
        receiver.receiver,
    ):
        held.cache_clear()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_line_of_a_warm_process_carries_the_id_of_its_own_invocation(
    name: str, logged: io.StringIO
) -> None:
    handler, event = FUNCTIONS[name]
    for request_id in (FIRST, SECOND):
        logged.seek(0)
        logged.truncate()
        handler(event(), Invocation(request_id))
        lines = [json.loads(line) for line in logged.getvalue().splitlines()]
        assert lines, "the function logs something"
        assert {line.get("function_request_id") for line in lines} == {request_id}
