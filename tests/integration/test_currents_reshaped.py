"""Events of a shape that Mixpanel rejects arrive all the same, in one that it takes."""

import io
import json
from typing import Any

import pytest

from functions.currents_importer import app
from sandbox.braze.currents import flat
from sandbox.mixpanel import MixpanelStandIn
from tests.integration.importer import (
    NONE_FAILED,
    OPEN,
    batch,
    quarantined_events,
    source,
)
from tests.integration.stack import Context, Stack

CUSTOM = "users.behaviors.CustomEvent"
OWN = "[Custom event property]"
DEEP: Any = {"a": {"b": {"c": {"d": 1}}}}


def custom(**own: Any) -> dict[str, Any]:
    event = source().event(CUSTOM)
    event["properties"]["custom_properties"] = own
    return event


def delivered(mixpanel: MixpanelStandIn) -> dict[str, Any]:
    """The properties of the one event that Mixpanel shows."""
    (event,) = mixpanel.visible().values()
    properties: dict[str, Any] = event["properties"]
    return properties


def test_five_records_with_an_odd_type_do_not_stop_the_shard(
    stack: Stack,
    mixpanel: MixpanelStandIn,
    capsys: pytest.CaptureFixture[str],
) -> None:
    made = source()
    records = []
    for _ in range(5):
        odd = made.event(CUSTOM)
        odd["properties"]["custom_properties"] = {"tags": list(range(255))}
        records.append([odd, made.event(OPEN), made.event(OPEN)])
    assert app.handler(batch(*records), Context()) == NONE_FAILED
    assert len(mixpanel.visible()) == 15
    originals = [json.loads(item.original) for item in quarantined_events(stack)]
    assert originals == [odd for odd, _, _ in records]
    assert {item.reason for item in quarantined_events(stack)} == {"reshaped"}
    printed = capsys.readouterr().out
    assert '"EventsReshaped":[5.0]' in printed
    assert "EventsQuarantined" not in printed
    assert "MassRejections" not in printed


@pytest.mark.parametrize(
    "own",
    [
        {f"p{number}": number for number in range(300)},
        {"tags": list(range(1_000))},
        {"cart": {f"sku{number}": number for number in range(255)}},
        {"deep": DEEP},
        {"lists": [[[[1]]]] * 300},
    ],
    ids=["properties", "elements", "keys", "nesting", "several"],
)
@pytest.mark.parametrize("in_storage", [False, True])
def test_whatever_limit_an_event_passes_it_arrives_under_the_same_key(
    stack: Stack, mixpanel: MixpanelStandIn, own: Any, in_storage: bool
) -> None:
    event = custom(**own)
    given = {"event_type": CUSTOM, **flat(event)} if in_storage else event
    for _ in range(2):
        assert app.handler(batch(given), Context()) == NONE_FAILED
        properties = delivered(mixpanel)
        assert properties["$insert_id"] == event["id"]
        assert properties["platform"] == event["properties"]["platform"]
        (item,) = quarantined_events(stack)
        assert json.loads(item.original) == given
        assert item.reason == "reshaped"


def test_of_many_properties_the_first_keep_their_names(
    stack: Stack, mixpanel: MixpanelStandIn
) -> None:
    app.handler(batch(custom(**{f"p{n}": n for n in range(300)})), Context())
    properties = delivered(mixpanel)
    kept = [name for name in properties if name.startswith(OWN)]
    assert kept == [f"{OWN} p{number}" for number in range(len(kept))]
    assert properties["[Braze] Properties left out"] == 300 - len(kept)


def test_json_text_that_is_too_deep_arrives_as_the_text_it_was(
    stack: Stack, mixpanel: MixpanelStandIn
) -> None:
    event = source().event(OPEN)
    event["properties"]["message_extras"] = text = json.dumps(DEEP)
    assert app.handler(batch(event), Context()) == NONE_FAILED
    assert delivered(mixpanel)["message_extras"] == text


@pytest.mark.parametrize("dialect", ["no list", "texts", "no index"])
def test_in_every_dialect_of_the_400_a_rejected_shape_is_mended(
    stack: Stack, mixpanel: MixpanelStandIn, dialect: str
) -> None:
    made = source()
    events = [made.event(OPEN) for _ in range(40)]
    events[13]["properties"]["message_extras"] = DEEP
    for _ in range(20):
        mixpanel.faults.plan(dialect)
    assert app.handler(batch(events), Context()) == NONE_FAILED
    assert len(mixpanel.visible()) == 40


def test_a_warm_process_remembers_the_type_and_a_shape_alone_is_changed(
    stack: Stack, mixpanel: MixpanelStandIn
) -> None:
    for calls in (2, 3):
        events = [custom(tags=[1] * 300), custom(tags=[1])]
        events[1]["id"] = "another"
        assert app.handler(batch(events), Context()) == NONE_FAILED
        assert mixpanel.calls["/import"] == calls
    by_id = {key[3]: event["properties"] for key, event in mixpanel.visible().items()}
    assert by_id["another"][f"{OWN} tags"] == [1]


def test_an_outage_between_the_two_calls_defers_and_loses_nothing(
    stack: Stack, mixpanel: MixpanelStandIn
) -> None:
    event = batch([source().event(OPEN), custom(deep=DEEP)])
    for fault in ("", "503", "503", "503", "503", "503", "503"):
        mixpanel.faults.plan(fault)
    assert app.handler(event, Context()) != NONE_FAILED
    assert quarantined_events(stack) == []
    mixpanel.faults.clear()
    assert app.handler(event, Context()) == NONE_FAILED
    assert len(mixpanel.visible()) == 2
    assert [item.reason for item in quarantined_events(stack)] == ["reshaped"]


def test_what_is_rejected_in_any_shape_is_quarantined_as_rejected(
    stack: Stack, mixpanel: MixpanelStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.mixpanel.rules.failure", lambda *_: ("event", "odd"))
    assert app.handler(batch(custom(tags=[1] * 300)), Context()) == NONE_FAILED
    assert mixpanel.calls["/import"] == 2
    assert [item.reason for item in quarantined_events(stack)] == ["rejected"]


def test_the_accounts_count_a_reshaped_event_as_delivered(
    stack: Stack, mixpanel: MixpanelStandIn, logged: io.StringIO
) -> None:
    app.handler(batch(custom(deep=DEEP)), Context())
    lines = [json.loads(line) for line in logged.getvalue().splitlines()]
    (accounts,) = [line for line in lines if line["message"] == "batch delivered"]
    assert accounts["closed"] is True
    assert (accounts["delivered"], accounts["quarantined"]) == (1, {})
    assert accounts["reshaped"] == {CUSTOM: 1}
