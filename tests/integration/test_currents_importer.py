"""The function currents_importer on moto, with a Mixpanel of its own."""

import base64
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest

from bridge.quarantine import from_lines
from functions.currents_importer import app
from sandbox.braze.currents import CurrentsSource
from sandbox.mixpanel import MixpanelStandIn
from tests.integration.stack import (
    PROJECT_TOKEN,
    Context,
    Stack,
    forget_secrets,
    logged,
    sample,
    stack,
)

__all__ = ["logged", "stack"]

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


def batch(*records: Any) -> dict[str, Any]:
    """A Kinesis event with these records, each an event, a list of them, or bytes."""
    (first, *_) = sample("currents_importer")["Records"]
    made = []
    for number, record in enumerate(records):
        data = record if isinstance(record, bytes) else json.dumps(record).encode()
        kinesis = first["kinesis"] | {
            "data": base64.b64encode(data).decode(),
            "sequenceNumber": str(1000 + number),
        }
        made.append(first | {"kinesis": kinesis})
    return {"Records": made}


def source() -> CurrentsSource:
    return CurrentsSource(["cust-1", "cust-2"], 1_767_225_600)


def failed(answer: dict[str, Any]) -> list[str]:
    return [item["itemIdentifier"] for item in answer["batchItemFailures"]]


def kept(stack: Stack) -> list[Any]:
    return [
        item
        for content in stack.kept("quarantine/currents/")
        for item in from_lines(content)
    ]


def test_r9_the_sample_batch_in_all_its_forms(
    stack: Stack, mixpanel: MixpanelStandIn
) -> None:
    assert app.handler(sample("currents_importer"), Context()) == NONE_FAILED
    names = sorted(key[0] for key in mixpanel.visible())
    assert names == [
        "Canvas Entry",
        "Email Click",
        "Email Click",
        "Purchase",
        "[Braze Custom Event] Video Watched",
    ]
    assert {key[1] for key in mixpanel.visible()} <= {"cust-00017", "cust-00018"}
    reasons = {item.reason: item.original for item in kept(stack)}
    assert set(reasons) == {"bad_time", "not_json"}
    assert reasons["not_json"] == b"not an event"


def test_the_same_batch_again_shows_nothing_twice(
    stack: Stack, mixpanel: MixpanelStandIn
) -> None:
    for _ in range(3):
        app.handler(sample("currents_importer"), Context())
    assert len(mixpanel.events) == 15
    assert len(mixpanel.visible()) == 5
    assert len(kept(stack)) == 2


def test_the_accounts_are_one_line_of_the_log(
    stack: Stack, mixpanel: MixpanelStandIn, logged: io.StringIO
) -> None:
    app.handler(sample("currents_importer"), Context())
    lines = [json.loads(line) for line in logged.getvalue().splitlines()]
    (accounts,) = [line for line in lines if line["message"] == "batch delivered"]
    assert accounts["closed"] is True
    assert (accounts["received"], accounts["delivered"]) == (9, 5)
    assert accounts["filtered"] == {"no_external_id": 1, "before_2010": 1}
    assert accounts["quarantined"] == {"bad_time": 1, "not_json": 1}
    assert accounts["by_event"]["users.canvas.Entry"] == {"delivered": 1}


@pytest.mark.parametrize(
    "fault", ["429", "500", "502", "503", "reset before", "reset after"]
)
def test_a_passing_fault_is_overcome(
    stack: Stack, mixpanel: MixpanelStandIn, fault: str
) -> None:
    mixpanel.faults.plan(fault, times=2)
    made = source()
    events = [made.event() for _ in range(20)]
    assert app.handler(batch(events), Context()) == NONE_FAILED
    assert len(mixpanel.visible()) == 20


@pytest.mark.parametrize(
    "dialect",
    ["", "$insert_id", "no index", "texts", "status number", "no list", "no error"],
)
def test_in_every_dialect_of_the_400_the_refused_event_alone_is_put_aside(
    stack: Stack, mixpanel: MixpanelStandIn, dialect: str
) -> None:
    made = source()
    events = [made.event("users.behaviors.CustomEvent") for _ in range(40)]
    # More properties than Mixpanel takes: only Mixpanel can say so.
    own = {f"p{number}": number for number in range(300)}
    events[13]["properties"]["custom_properties"] = own
    for _ in range(20):
        mixpanel.faults.plan(dialect)
    assert app.handler(batch(events), Context()) == NONE_FAILED
    assert len(mixpanel.visible()) == 39
    (item,) = kept(stack)
    assert json.loads(item.original) == events[13]
    assert item.reason == "refused"


def test_an_outage_gives_the_batch_back_from_its_first_record(
    stack: Stack, mixpanel: MixpanelStandIn
) -> None:
    mixpanel.faults.rates = {"503": 1.0}
    made = source()
    event = batch(b"poison", made.event(), made.event())
    assert failed(app.handler(event, Context())) == ["1001"]
    assert [item.original for item in kept(stack)] == [b"poison"]
    mixpanel.faults.clear()
    assert app.handler(event, Context()) == NONE_FAILED
    assert len(mixpanel.visible()) == 2


def test_refused_credentials_wait_and_put_nothing_aside(
    stack: Stack, mixpanel: MixpanelStandIn, logged: io.StringIO
) -> None:
    good = json.dumps({"project_token": PROJECT_TOKEN})
    wrong = json.dumps({"project_token": "canary-wrong-token"})
    stack.secrets.put_secret_value(SecretId="mixpanel", SecretString=wrong)
    forget_secrets()
    event = batch(source().event())
    assert failed(app.handler(event, Context())) == ["1000"]
    assert kept(stack) == []
    assert "canary-wrong-token" not in logged.getvalue()
    assert "mixpanel_401" in logged.getvalue()
    stack.secrets.put_secret_value(SecretId="mixpanel", SecretString=good)
    app.importer().secret._refreshed_at = float("-inf")
    forget_secrets()
    assert app.handler(event, Context()) == NONE_FAILED
    assert len(mixpanel.visible()) == 1


def test_r13_a_service_account_goes_with_its_project(
    stack: Stack, mixpanel: MixpanelStandIn
) -> None:
    account = {
        "service_account_username": "bridge.mp-service-account",
        "service_account_secret": "canary-account-secret",
        "project_id": "1",
    }
    stack.secrets.put_secret_value(
        SecretId="mixpanel", SecretString=json.dumps(account)
    )
    forget_secrets()
    mixpanel.service_accounts = {"bridge.mp-service-account": "canary-account-secret"}
    assert app.handler(batch(source().event()), Context()) == NONE_FAILED


@pytest.mark.parametrize("broken", ["secret", "quarantine"])
def test_a_store_that_fails_gives_the_whole_batch_back(
    stack: Stack, mixpanel: MixpanelStandIn, broken: str
) -> None:
    if broken == "secret":
        stack.secrets.delete_secret(
            SecretId="mixpanel", ForceDeleteWithoutRecovery=True
        )
        forget_secrets()
    else:
        stack.s3.delete_bucket(Bucket=stack.bucket)
    answer = app.handler(batch(source().event(), b"poison"), Context())
    assert failed(answer) == ["1000"]


def test_unequal_accounts_are_retried_and_counted(
    stack: Stack,
    mixpanel: MixpanelStandIn,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("bridge.outcomes.Accounts.closed", False)
    assert failed(app.handler(batch(source().event()), Context())) == ["1000"]
    assert '"AccountsUnbalanced":[1.0]' in capsys.readouterr().out


def test_data_that_is_no_base64_is_put_aside(
    stack: Stack, mixpanel: MixpanelStandIn
) -> None:
    event = batch(source().event(), b"x")
    event["Records"][1]["kinesis"]["data"] = "!!!"
    assert app.handler(event, Context()) == NONE_FAILED
    assert [item.original for item in kept(stack)] == [b"!!!"]


def test_names_unknown_to_the_catalog_are_reported_once(
    stack: Stack, mixpanel: MixpanelStandIn, logged: io.StringIO
) -> None:
    event = source().event()
    event["event_type"] = "users.messages.pigeon.Send"
    for _ in range(2):
        app.handler(batch(event), Context())
    assert (
        logged.getvalue().count('pigeon.Send\\"]')
        + logged.getvalue().count('pigeon.Send"]')
        == 1
    )


def test_no_secret_and_no_user_is_logged(
    stack: Stack,
    mixpanel: MixpanelStandIn,
    logged: io.StringIO,
    capsys: pytest.CaptureFixture[str],
) -> None:
    mixpanel.faults.plan("texts")
    app.handler(sample("currents_importer"), Context())
    printed = capsys.readouterr()
    logs = logged.getvalue() + printed.out + printed.err
    assert "batch delivered" in logs
    for canary in (PROJECT_TOKEN, "cust-0001", "@example.com", "yesterday"):
        assert canary not in logs
