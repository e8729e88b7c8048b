"""An unforeseen error, in any function: nothing is lost, and nothing is disclosed.

Each function fails deep inside, in the middle of its work. Its answer must make the
sender, the stream, the queue or Lambda retry, in the shape that each expects; the
error's message must show nowhere, as it may quote a member or a key.
"""

import io
import json
import traceback
from collections.abc import Callable
from typing import Any, Never

import pytest

from bridge.cohorts.adapters.dynamodb_ledger import DynamoLedger
from bridge.cohorts.adapters.dynamodb_page_log import DynamoPageLog
from bridge.errors import BridgeError, CredentialsRejected, RetryableError
from functions.cohort_consumer import app as consumer
from functions.cohort_maintenance import app as maintenance
from functions.cohort_webhook import app as webhook
from functions.currents_importer import app as importer
from functions.currents_loader import app as loader
from functions.currents_receiver import app as receiver
from tests.integration.importer import batch, failed, source
from tests.integration.stack import EVENTS, Context, Stack, sample
from tests.model.world import Braze

CANARY = "canary-person@example.com"
DEFERRED = "not accepted just now, try again"

type Raise = Callable[..., Never]
type Case = Callable[[Stack, pytest.MonkeyPatch, Raise], str]
"""Breaks a function, calls it, and returns all that its caller gets."""


@pytest.fixture(autouse=True)
def cold(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAZE_REST_ENDPOINT", "https://rest.iad-01.braze.com")
    for cached in (
        consumer.consumer,
        webhook.webhook,
        importer.importer,
        loader.loader,
        receiver.receiver,
    ):
        cached.cache_clear()


def answered(answer: dict[str, Any], body: dict[str, Any]) -> str:
    """503 with this body, and nothing beside it."""
    assert answer["statusCode"] == 503
    assert json.loads(answer["body"]) == body
    return json.dumps(answer)


def raised(call: Callable[[], object]) -> str:
    """All that Lambda prints of the error that the function raises."""
    with pytest.raises(RetryableError) as caught:
        call()
    return "".join(traceback.format_exception(caught.value)) + caught.value.reason


def webhook_of_mixpanel(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, fail: Raise
) -> str:
    monkeypatch.setattr(webhook.webhook().queue, "send", fail)
    answer = webhook.handler(sample("cohort_webhook"), Context())
    error = {"message": DEFERRED, "code": 503}
    body = {"action": None, "status": "failure", "error": error}
    return answered(answer, body)


def import_of_a_partner(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, fail: Raise
) -> str:
    monkeypatch.setattr(webhook.webhook().queue, "send", fail)
    answer = webhook.handler(sample("cohort_webhook_partner_users"), Context())
    return answered(answer, {"message": DEFERRED})


def name_of_a_partner(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, fail: Raise
) -> str:
    monkeypatch.setattr(DynamoPageLog, "rename", fail)
    answer = webhook.handler(sample("cohort_webhook_partner_name"), Context())
    return answered(answer, {"message": DEFERRED})


def the_receiver(stack: Stack, monkeypatch: pytest.MonkeyPatch, fail: Raise) -> str:
    monkeypatch.setattr(receiver.receiver().stream, "put", fail)
    answer = receiver.handler(sample("currents_receiver"), Context())
    return answered(answer, {"message": "not stored just now, try again"})


def the_importer(stack: Stack, monkeypatch: pytest.MonkeyPatch, fail: Raise) -> str:
    monkeypatch.setattr(importer.importer().transport, "post", fail)
    answer = importer.handler(batch(source().event(), source().event()), Context())
    assert failed(answer) == ["1000"]
    return json.dumps(answer)


def the_consumer(stack: Stack, monkeypatch: pytest.MonkeyPatch, fail: Raise) -> str:
    process, braze = consumer.consumer(), Braze()
    monkeypatch.setattr(process.braze, "route", lambda *_: braze)
    real = process.pages.get

    def get(key: Any, digest: str) -> Any:
        return fail() if key.cohort == "8120045" else real(key, digest)

    accept("8120045", "page-of-the-broken")
    accept("9", "cust-9")
    records = stack.messages()
    with monkeypatch.context() as broken:
        broken.setattr(process.pages, "get", get)
        answer = consumer.handler({"Records": records}, Context())
    (broken_one, _) = records
    assert failed(answer) == [broken_one["messageId"]]
    assert braze.members == {"cust-9"}, "the other cohort goes on"
    assert stack.objects("quarantine/") == []
    again = consumer.handler({"Records": [broken_one]}, Context())
    assert failed(again) == []
    assert braze.members == {"cust-9", "page-of-the-broken"}
    return json.dumps(answer)


def accept(cohort: str, person: str) -> None:
    event = sample("cohort_webhook")
    body = json.loads(event["body"])
    body["parameters"] |= {
        "mixpanel_cohort_id": cohort,
        "members": [{"mixpanel_distinct_id": person}],
    }
    answer = webhook.handler(event | {"body": json.dumps(body)}, Context())
    assert answer["statusCode"] == 200


def the_loader(stack: Stack, monkeypatch: pytest.MonkeyPatch, fail: Raise) -> str:
    event = sample("currents_loader")
    event["Records"][0]["s3"]["object"]["key"] = "a.avro"
    content = (EVENTS / "currents_loader.avro").read_bytes()
    stack.s3.put_object(Bucket="currents", Key="a.avro", Body=content)
    monkeypatch.setattr(loader.loader().stream, "put", fail)
    return raised(lambda: loader.handler(event, Context(600)))


def the_maintenance(stack: Stack, monkeypatch: pytest.MonkeyPatch, fail: Raise) -> str:
    monkeypatch.setattr(DynamoLedger, "cohorts", fail)
    return raised(lambda: maintenance.handler({}, Context()))


CASES: list[Case] = [
    webhook_of_mixpanel,
    import_of_a_partner,
    name_of_a_partner,
    the_receiver,
    the_importer,
    the_consumer,
    the_loader,
    the_maintenance,
]
each_function = pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)


def raising(error: Exception) -> Raise:
    def fail(*_: Any, **__: Any) -> Never:
        raise error

    return fail


@each_function
@pytest.mark.parametrize("foreign", [ZeroDivisionError, KeyError, ValueError])
def test_a_foreign_error_makes_the_caller_retry_and_shows_nowhere(
    stack: Stack,
    monkeypatch: pytest.MonkeyPatch,
    logged: io.StringIO,
    capsys: pytest.CaptureFixture[str],
    case: Case,
    foreign: type[Exception],
) -> None:
    answered_with = case(stack, monkeypatch, raising(foreign(CANARY)))
    printed = capsys.readouterr()
    said = answered_with + logged.getvalue() + printed.out + printed.err
    assert foreign.__name__ in logged.getvalue(), "an operator sees what it was"
    assert '"Faults":[1.0]' in printed.out
    assert CANARY not in said
    assert foreign.__name__ not in answered_with


@each_function
@pytest.mark.parametrize("known", [RetryableError, CredentialsRejected, BridgeError])
def test_an_error_of_the_bridge_makes_the_caller_retry_and_logs_its_reason(
    stack: Stack,
    monkeypatch: pytest.MonkeyPatch,
    logged: io.StringIO,
    capsys: pytest.CaptureFixture[str],
    case: Case,
    known: type[BridgeError],
) -> None:
    case(stack, monkeypatch, raising(known("an_odd_reason")))
    assert '"reason": "an_odd_reason"' in logged.getvalue()
    counted = capsys.readouterr().out
    assert '"Faults"' not in counted, "it is no fault"
    wakes = known is CredentialsRejected and case in {the_importer, the_consumer}
    assert ('"CredentialsRejected":[1.0]' in counted) == wakes
