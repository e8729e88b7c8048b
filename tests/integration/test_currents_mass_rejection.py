"""While the stream waits, log, metric and samples say for what; a type is no outage."""

import io
import json
from typing import Any

import pytest

from functions.currents_importer import app
from sandbox.braze.currents import avro_file
from sandbox.mixpanel import MixpanelStandIn, rules
from tests.integration.importer import (
    CLICK,
    NONE_FAILED,
    OPEN,
    batch,
    failed,
    quarantined_events,
    reject_events_with,
    source,
)
from tests.integration.stack import Context, Stack

CUSTOM = "users.behaviors.CustomEvent"
POISON = "canary-poison"
TAGS = "properties.[Custom event property] tags"
QUOTING = f"'{TAGS}' is invalid: must not be canary of canary-7@example.com (12345)"


def mass(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Six records of which Mixpanel rejects the custom events and the clicks."""
    real = rules.failure

    def failure(event: Any, *rest: Any) -> Any:
        if event["event"].startswith("[Braze Custom Event]"):
            return TAGS, QUOTING
        if event["event"] == "Email Click":
            return "properties.url", "canary"
        return real(event, *rest)

    monkeypatch.setattr(rules, "failure", failure)
    made = source()
    kinds = [CUSTOM, CUSTOM, CLICK, OPEN]
    return batch(*([made.event(kind) for kind in kinds] for _ in range(6)))


def said(logged: io.StringIO) -> dict[str, Any]:
    lines = [json.loads(line) for line in logged.getvalue().splitlines()]
    line: dict[str, Any]
    (line,) = [each for each in lines if each["message"] == "batch deferred"]
    return line


def test_the_log_and_the_metric_say_what_is_rejected_and_quote_nobody(
    stack: Stack,
    mixpanel: MixpanelStandIn,
    monkeypatch: pytest.MonkeyPatch,
    logged: io.StringIO,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert failed(app.handler(mass(monkeypatch), Context())) == ["1000"]
    line = said(logged)
    expected = {
        "event_type": CUSTOM,
        "property": TAGS,
        "rejected": 12,
        "attempted": 12,
        "records": 6,
        "mixpanel": f"'{TAGS}' is invalid: must not be … of … (…)",
    }
    assert {name: line[name] for name in expected} == expected
    assert CUSTOM in line["why"]
    assert "12 of 12" in line["why"]
    printed = capsys.readouterr().out
    (metrics,) = [json.loads(text) for text in printed.splitlines() if "_aws" in text]
    assert metrics["MassRejections"] == [1.0]
    assert metrics["mass_rejection"] == expected
    assert "canary" not in logged.getvalue() + printed


def test_samples_stand_in_the_quarantine_while_it_waits_and_are_written_once(
    stack: Stack,
    mixpanel: MixpanelStandIn,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    event = mass(monkeypatch)
    for _ in range(3):
        assert failed(app.handler(event, Context())) == ["1000"]
    samples = quarantined_events(stack)
    assert {item.reason for item in samples} == {"mass_rejection"}
    assert {item.kind for item in samples} == {CUSTOM, CLICK}
    assert {item.message for item in samples} == {QUOTING, "canary"}
    assert json.loads(samples[0].original)["event_type"] == CUSTOM
    assert "12 of 12 events" in samples[0].summary
    assert "canary" not in samples[0].summary
    monkeypatch.undo()


def test_without_a_quarantine_it_waits_all_the_same(
    stack: Stack, mixpanel: MixpanelStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = mass(monkeypatch)
    stack.s3.delete_bucket(Bucket=stack.bucket)
    assert failed(app.handler(event, Context())) == ["1000"]


@pytest.mark.parametrize("beside", [(), (OPEN, CLICK)], ids=["alone", "among others"])
def test_a_rejected_type_in_avro_files_is_quarantined_and_does_not_stop_the_stream(
    stack: Stack,
    mixpanel: MixpanelStandIn,
    monkeypatch: pytest.MonkeyPatch,
    beside: tuple[str, ...],
) -> None:
    reject_events_with(POISON, monkeypatch)
    made = source()
    files = []
    for _ in range(12):
        events = [made.event(CLICK) for _ in range(5)]
        for event in events:
            event["properties"]["url"] = POISON
        files.append(avro_file(CLICK, events))
        files += [avro_file(kind, [made.event(kind)]) for kind in beside]
    assert app.handler(batch(*files), Context()) == NONE_FAILED
    assert len(quarantined_events(stack)) == 60
    assert len(mixpanel.visible()) == 12 * len(beside)


def test_the_runbooks_steps_lead_to_a_moving_stream(
    stack: Stack, mixpanel: MixpanelStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting, then the samples, then a rule that leaves the rejected types out."""
    monkeypatch.setenv("RULES_KEY", "rules/currents.json")
    stack.s3.put_object(Bucket="data", Key="rules/currents.json", Body=b"{}")
    app.importer.cache_clear()
    event = mass(monkeypatch)
    assert failed(app.handler(event, Context())) == ["1000"]
    kinds = sorted({item.kind for item in quarantined_events(stack)})
    assert kinds == [CUSTOM, CLICK]
    body = json.dumps({"exclude": kinds}).encode()
    stack.s3.put_object(Bucket="data", Key="rules/currents.json", Body=body)
    app.importer().mapper._read_at = float("-inf")  # three minutes later
    assert app.handler(event, Context()) == NONE_FAILED
    assert {key[0] for key in mixpanel.visible()} == {"Email Open"}


def test_or_the_rejected_events_go_to_the_quarantine_and_the_others_move(
    stack: Stack, mixpanel: MixpanelStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = mass(monkeypatch)
    assert failed(app.handler(event, Context())) == ["1000"]
    monkeypatch.setenv("MASS_REJECTION", "quarantine")
    app.importer.cache_clear()
    assert app.handler(event, Context()) == NONE_FAILED
    reasons = [item.reason for item in quarantined_events(stack)]
    assert reasons.count("rejected") == 18
    assert len(mixpanel.visible()) == 6
