"""The function currents_importer on moto, with a Mixpanel of its own."""

import gzip
import io
import json
import re
import subprocess
import sys
from itertools import count
from typing import Any

import pytest

from bridge.currents.delivery.conclude import MAX_DRIFT_NAMES
from bridge.currents.mapping.transform import MAPPING_VERSION
from bridge.errors import RetryableError
from functions.currents_importer import app
from sandbox.mixpanel import MixpanelStandIn, rules
from tests.integration.importer import (
    NONE_FAILED,
    batch,
    failed,
    quarantined_events,
    reject_events_with,
    source,
)
from tests.integration.stack import (
    PROJECT_TOKEN,
    Context,
    Stack,
    forget_secrets,
    sample,
)


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
    reasons = {item.reason: item.original for item in quarantined_events(stack)}
    assert set(reasons) == {"bad_time", "not_json"}
    assert reasons["not_json"] == b"not an event"


def test_the_same_batch_again_shows_nothing_twice(
    stack: Stack, mixpanel: MixpanelStandIn
) -> None:
    for _ in range(3):
        app.handler(sample("currents_importer"), Context())
    assert len(mixpanel.events) == 15
    assert len(mixpanel.visible()) == 5
    assert len(quarantined_events(stack)) == 2


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
    [
        *("", "$insert_id", "no index", "index only", "texts", "status number"),
        *("no list", "no error"),
    ],
)
def test_in_every_dialect_of_the_400_only_the_rejected_event_is_quarantined(
    stack: Stack,
    mixpanel: MixpanelStandIn,
    monkeypatch: pytest.MonkeyPatch,
    dialect: str,
) -> None:
    made = source()
    events = [made.event("users.behaviors.CustomEvent") for _ in range(40)]
    reject_events_with("only Mixpanel can say so", monkeypatch)
    own = {"odd": "only Mixpanel can say so"}
    events[13]["properties"]["custom_properties"] = own
    for _ in range(20):
        mixpanel.faults.plan(dialect)
    assert app.handler(batch(events), Context()) == NONE_FAILED
    assert len(mixpanel.visible()) == 39
    (item,) = quarantined_events(stack)
    assert json.loads(item.original) == events[13]
    assert item.reason == "rejected"


def test_an_outage_defers_the_batch_from_its_first_record(
    stack: Stack, mixpanel: MixpanelStandIn
) -> None:
    mixpanel.faults.rates = {"503": 1.0}
    made = source()
    event = batch(b"poison", made.event(), made.event())
    assert failed(app.handler(event, Context())) == ["1001"]
    assert [item.original for item in quarantined_events(stack)] == [b"poison"]
    mixpanel.faults.clear()
    assert app.handler(event, Context()) == NONE_FAILED
    assert len(mixpanel.visible()) == 2


def test_rejected_credentials_defer_and_quarantine_nothing(
    stack: Stack, mixpanel: MixpanelStandIn, logged: io.StringIO
) -> None:
    good = json.dumps({"project_token": PROJECT_TOKEN})
    wrong = json.dumps({"project_token": "canary-wrong-token"})
    stack.secrets.put_secret_value(SecretId="mixpanel", SecretString=wrong)
    forget_secrets()
    event = batch(source().event())
    assert failed(app.handler(event, Context())) == ["1000"]
    assert quarantined_events(stack) == []
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


@pytest.mark.parametrize(
    ("broken", "from_where"), [("secret", "1000"), ("quarantine", "1001")]
)
def test_a_store_that_fails_defers_what_needs_it(
    stack: Stack, mixpanel: MixpanelStandIn, broken: str, from_where: str
) -> None:
    if broken == "secret":
        stack.secrets.delete_secret(
            SecretId="mixpanel", ForceDeleteWithoutRecovery=True
        )
        forget_secrets()
    else:
        stack.s3.delete_bucket(Bucket=stack.bucket)
    answer = app.handler(batch(source().event(), b"poison"), Context())
    assert failed(answer) == [from_where]


def test_unequal_accounts_are_retried_and_counted(
    stack: Stack,
    mixpanel: MixpanelStandIn,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("bridge.accounts.Accounts.closed", False)
    assert failed(app.handler(batch(source().event()), Context())) == ["1000"]
    assert '"AccountsUnbalanced":[1.0]' in capsys.readouterr().out


def test_a_quarantine_that_fails_midway_defers_from_there(
    stack: Stack, mixpanel: MixpanelStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, puts = app.importer().quarantine.put, count()

    def put(*given: Any) -> str:
        if next(puts) == 1:
            raise RetryableError("quarantine_unavailable")
        return real(*given)

    monkeypatch.setattr(app.importer().quarantine, "put", put)
    event = batch(b"first", source().event(), b"second", b"third")
    assert failed(app.handler(event, Context())) == ["1002"]
    assert [item.original for item in quarantined_events(stack)] == [b"first"]
    assert app.handler(event, Context()) == NONE_FAILED
    assert [item.original for item in quarantined_events(stack)] == [
        b"first",
        b"second",
        b"third",
    ]


def test_without_time_for_the_quarantine_the_rest_of_it_waits(
    stack: Stack, mixpanel: MixpanelStandIn
) -> None:
    event = batch(*(b"poison %d" % number for number in range(4)))
    for left in ("1001", "1001"):
        assert failed(app.handler(event, Context(seconds=1.0))) == [left]
    assert [item.original for item in quarantined_events(stack)] == [b"poison 0"]


def test_what_was_decoded_in_no_way_is_kept_byte_for_byte(
    stack: Stack, mixpanel: MixpanelStandIn
) -> None:
    poison = [
        b"\x1f\x8bcut off",
        b"Obj\x01 no Avro",
        b"\x00\xff\xfe binary \n\r\n",
        b"  { broken ",
        "\u00fcml\u00e4ut".encode("latin-1"),
        b"[" * 100_000,
        b"9" * 5_000,
        b"x" * 700_000,
        gzip.compress(b'{"events": '),
        gzip.compress(b"Obj\x01 no Avro"),
    ]
    app.handler(batch(*poison), Context())
    assert [item.original for item in quarantined_events(stack)] == poison


def test_the_quarantine_is_read_with_ordinary_tools(
    stack: Stack, mixpanel: MixpanelStandIn
) -> None:
    poison = b'{"time": "\xff yesterday"'
    app.handler(batch(poison), Context())
    (listed,) = stack.s3.list_objects_v2(
        Bucket=stack.bucket, Prefix="quarantine/currents/"
    )["Contents"]
    assert re.fullmatch(
        r"quarantine/currents/date=2026-\d\d-\d\d/hour=\d\d/shardId-\d+-1000.ndjson",
        listed["Key"],
    )
    (content,) = stack.objects("quarantine/currents/")
    program = "import base64, json, sys; "
    program += "line = json.loads(sys.stdin.readline()); "
    program += "sys.stdout.buffer.write(base64.b64decode(line['original']))"
    command = [sys.executable, "-I", "-S", "-c", program]
    done = subprocess.run(command, input=content, capture_output=True, check=True)  # noqa: S603
    assert done.stdout == poison
    line = json.loads(content)
    assert line["reason"] == "not_json"
    assert line["position"].endswith(":1000/0")
    assert line["mapping"] == MAPPING_VERSION


def test_what_mixpanel_quotes_reaches_the_quarantine_and_nothing_else(
    stack: Stack,
    mixpanel: MixpanelStandIn,
    monkeypatch: pytest.MonkeyPatch,
    logged: io.StringIO,
    capsys: pytest.CaptureFixture[str],
) -> None:
    quoted = "'canary-person@example.com' is odd"
    monkeypatch.setattr(rules, "failure", lambda *_: ("canary-field", quoted))
    assert app.handler(batch(source().event()), Context()) == NONE_FAILED
    (item,) = quarantined_events(stack)
    assert (item.field, item.message) == ("canary-field", quoted)
    printed = capsys.readouterr()
    assert "canary" not in logged.getvalue() + printed.out + printed.err


def test_a_mass_rejection_waits_and_wakes_somebody(
    stack: Stack,
    mixpanel: MixpanelStandIn,
    monkeypatch: pytest.MonkeyPatch,
    logged: io.StringIO,
    capsys: pytest.CaptureFixture[str],
) -> None:
    made = source()
    event = batch(*([made.event() for _ in range(4)] for _ in range(6)))
    with monkeypatch.context() as broken:
        broken.setattr(rules, "failure", lambda *_: ("event", "canary: quotes"))
        assert failed(app.handler(event, Context())) == ["1000"]
    samples = quarantined_events(stack)
    assert {item.reason for item in samples} == {"mass_rejection"}
    assert "canary" not in logged.getvalue()
    assert '"MassRejections":[1.0]' in capsys.readouterr().out
    assert app.handler(event, Context()) == NONE_FAILED
    assert len(mixpanel.visible()) == 24


def test_the_operator_can_let_a_mass_rejection_pass(
    stack: Stack, mixpanel: MixpanelStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MASS_REJECTION", "quarantine")
    app.importer.cache_clear()
    monkeypatch.setattr(rules, "failure", lambda *_: ("event", "odd"))
    made = source()
    event = batch(*([made.event() for _ in range(4)] for _ in range(6)))
    assert app.handler(event, Context()) == NONE_FAILED
    assert len(quarantined_events(stack)) == 24


def test_data_that_is_no_base64_is_quarantined(
    stack: Stack, mixpanel: MixpanelStandIn
) -> None:
    event = batch(source().event(), b"x")
    event["Records"][1]["kinesis"]["data"] = "!!!"
    assert app.handler(event, Context()) == NONE_FAILED
    assert [item.original for item in quarantined_events(stack)] == [b"!!!"]


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


def test_drift_is_bounded_and_tells_names_alone(
    stack: Stack, mixpanel: MixpanelStandIn, logged: io.StringIO
) -> None:
    event = source().event()
    odd = ["canary-person@example.com", "x" * 65, "+49 170 1234567", "\u00fcber"]
    event["properties"] |= dict.fromkeys(odd, "canary-value")
    event["properties"] |= {f"field_{number}": 1 for number in range(500)}
    event["event_type"] = "canary mail@example.com"
    app.handler(batch(event), Context())
    lines = [json.loads(line) for line in logged.getvalue().splitlines()]
    (drift,) = [each for each in lines if "unknown" in each["message"]]
    assert "(no plain name)" in drift["names"]
    assert len(drift["names"]) == MAX_DRIFT_NAMES
    assert "canary" not in logged.getvalue()


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


@pytest.mark.parametrize("text", ["QQ", "QQ=Q", "Q Q==", "QQ==QQ==", "é", "QQ==\n"])
def test_data_that_are_no_base64_are_quarantined_as_they_came(
    stack: Stack, mixpanel: MixpanelStandIn, text: str
) -> None:
    event = batch(b"")
    event["Records"][0]["kinesis"]["data"] = text
    assert app.handler(event, Context()) == NONE_FAILED
    assert [item.original for item in quarantined_events(stack)] == [text.encode()]
