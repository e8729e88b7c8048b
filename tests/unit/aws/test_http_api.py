"""Calls of the HTTP API: their parts, and that every fault of ours is a 503."""

import base64
import io
import json
from typing import Any

import pytest

from bridge.aws.http_api import Answer, Request, serve
from bridge.errors import MalformedInput, RetryableError
from bridge.observability import Metric, metrics

CANARY = "canary-person@example.com"
EVENT = {"routeKey": "POST /cohorts", "requestContext": {"timeEpoch": 1_000}}


def served(respond: Any, event: dict[str, Any] = EVENT) -> tuple[int, Any]:
    answer = serve(
        event,
        respond,
        failure="call not taken",
        deferred=Metric.CALLS_DEFERRED,
        unavailable=lambda route: {"unavailable": route},
    )
    assert answer["headers"] == {"content-type": "application/json"}
    return answer["statusCode"], json.loads(answer["body"])


def raising(error: Exception) -> Any:
    def respond(_: Request) -> Answer:
        raise error

    return respond


@pytest.fixture(autouse=True)
def counted() -> Any:
    metrics.clear_metrics()
    yield metrics.metric_set
    metrics.clear_metrics()


def test_what_responds_gives_status_and_body(counted: Any) -> None:
    answer = served(lambda request: Answer(202, {"arrived": request.arrived_ms}))
    assert answer == (202, {"arrived": 1_000})
    assert not counted


def test_an_error_of_the_bridge_is_503_logged_by_its_reason(
    counted: Any, logged: io.StringIO
) -> None:
    error = RetryableError("ledger_throttled", "the ledger is throttled")
    assert served(raising(error)) == (503, {"unavailable": "POST /cohorts"})
    assert set(counted) == {"CallsDeferred"}
    line = json.loads(logged.getvalue())
    assert (line["message"], line["reason"]) == ("call not taken", "ledger_throttled")


def test_a_foreign_error_is_503_and_its_message_is_nowhere(
    counted: Any, logged: io.StringIO
) -> None:
    status, body = served(raising(KeyError(CANARY)))
    assert (status, body) == (503, {"unavailable": "POST /cohorts"})
    assert set(counted) == {"CallsDeferred", "Faults"}
    assert json.loads(logged.getvalue())["error"] == "KeyError"
    assert CANARY not in logged.getvalue()


def test_an_event_that_cannot_be_read_is_503() -> None:
    event = {"requestContext": {"timeEpoch": "soon"}}
    assert served(lambda _: Answer(200, {}), event)[0] == 503


@pytest.mark.parametrize(
    ("encoded", "is_base64"), [("not base64!", True), ("half \ud800", False)]
)
def test_a_body_that_cannot_be_decoded_is_still_had_as_it_came(
    encoded: str, is_base64: bool
) -> None:
    request = Request("r", 0, {}, encoded, is_base64)
    with pytest.raises(MalformedInput):
        request.body()
    assert request.original() == encoded.encode("utf-8", "surrogatepass")


def test_the_original_of_a_sound_body_is_its_bytes() -> None:
    encoded = base64.b64encode(b"\x1f\x8b body").decode()
    request = Request("r", 0, {}, encoded, is_base64=True)
    assert request.original() == request.body() == b"\x1f\x8b body"
