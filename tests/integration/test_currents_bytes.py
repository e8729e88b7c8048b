"""Odd bytes, odd times and odd ids arrive all the same, or are named."""

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest

from bridge.currents.mapping.dedup_key import MAX_ID
from functions.currents_importer import app
from functions.currents_receiver import app as receiver
from sandbox.braze.currents import avro_file
from sandbox.mixpanel import MixpanelStandIn
from tests.integration.importer import (
    CLICK,
    NONE_FAILED,
    OPEN,
    batch,
    quarantined_events,
    source,
)
from tests.integration.stack import TOKEN, Context, Stack, sample

CUSTOM = "users.behaviors.CustomEvent"


def deliver(*records: Any) -> None:
    assert app.handler(batch(*records), Context()) == NONE_FAILED


def the_one(mixpanel: MixpanelStandIn) -> dict[str, Any]:
    (event,) = mixpanel.visible().values()
    properties: dict[str, Any] = event["properties"]
    return properties


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (rb'"hi \ud83d"', "hi \ufffd"),
        (
            rb'"\udc00\ud83d\ude00 \ud83d\ud83d\ude00"',
            "\ufffd\U0001f600 \ufffd\U0001f600",
        ),
        (rb'"\\ud83d"', r"\ud83d"),
        (b'"caf\xe9"', "caf\ufffd"),
    ],
    ids=["half an emoji", "halves beside whole ones", "no escape", "latin-1"],
)
@pytest.mark.parametrize("among", ["alone", "array", "lines", "gzip"])
def test_text_that_is_no_unicode_arrives_with_the_replacement_character(
    stack: Stack, mixpanel: MixpanelStandIn, written: bytes, read: str, among: str
) -> None:
    made = source()
    odd, other = made.event(OPEN), made.event(CLICK)
    odd["properties"]["message_body"] = "HERE"
    raw = json.dumps(odd).encode().replace(b'"HERE"', written)
    good = json.dumps(other).encode()
    deliver(
        {
            "alone": raw,
            "array": b"[" + good + b"," + raw + b"]",
            "lines": raw + b"\n" + good,
            "gzip": gzip.compress(b"[" + raw + b"]"),
        }[among]
    )
    bodies = [
        event["properties"].get("message_body")
        for key, event in mixpanel.visible().items()
        if key[3] == odd["id"]
    ]
    assert bodies == [read]
    assert quarantined_events(stack) == []


def test_the_receiver_takes_half_an_emoji_too(stack: Stack) -> None:
    receiver.receiver.cache_clear()
    event = source().event(OPEN)
    event["properties"]["message_body"] = "HERE"
    body = json.dumps({"events": [event]}).replace('"HERE"', r'"hi \ud83d"')
    call = sample("currents_receiver") | {"body": body, "isBase64Encoded": False}
    call["headers"] = {"authorization": f"Bearer {TOKEN}"}
    answer = receiver.handler(call, Context())
    assert answer["statusCode"] == 200
    assert json.loads(answer["body"])["quarantined"] == 0


@pytest.mark.parametrize("wrapping", ["{}", "\n {} ", '{{"events":{}}}', "{}\n{}"])
def test_an_envelope_in_an_array_is_opened(
    stack: Stack, mixpanel: MixpanelStandIn, wrapping: str
) -> None:
    made = source()
    given = [made.event(OPEN) for _ in range(4)]
    first, bare, *last = given
    envelopes = [{"events": [first]}, bare, {"events": [{"events": last}]}]
    deliver(wrapping.format(json.dumps(envelopes), "[]").encode())
    assert len(mixpanel.visible()) == 4
    assert quarantined_events(stack) == []


def test_an_odd_event_behind_an_envelope_is_quarantined_with_its_own_bytes(
    stack: Stack, mixpanel: MixpanelStandIn
) -> None:
    made = source()
    good, bad = made.event(OPEN), made.event(OPEN) | {"time": "yesterday"}
    deliver([good, {"events": [made.event(OPEN)]}, bad])
    (item,) = quarantined_events(stack)
    assert json.loads(item.original) == bad
    assert len(mixpanel.visible()) == 2


SECONDS = 1_760_000_123


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (SECONDS, SECONDS),
        (str(SECONDS), SECONDS),
        (f" {SECONDS}.25 ", SECONDS * 1000 + 250),
        (SECONDS + 0.5, SECONDS * 1000 + 500),
        (float(SECONDS), SECONDS),
        (SECONDS * 1000, SECONDS),
        (SECONDS * 1000 + 800, SECONDS * 1000 + 800),
        (str(SECONDS * 1000 + 7), SECONDS * 1000 + 7),
        (SECONDS * 10**6 + 7_999, SECONDS * 1000 + 7),
        (SECONDS * 10**9 + 7_999_999, SECONDS * 1000 + 7),
        ("2025-10-09T08:55:23Z", SECONDS),
        ("2025-10-09T10:55:23.5+02:00", SECONDS * 1000 + 500),
        ("2025-10-09 08:55:23", SECONDS),
    ],
)
def test_a_time_in_any_unit_or_as_text(
    stack: Stack, mixpanel: MixpanelStandIn, given: Any, sent: int
) -> None:
    deliver(source().event(OPEN) | {"time": given})
    assert the_one(mixpanel)["time"] == sent


@pytest.mark.parametrize(
    "given",
    [10**30, 10**20, "1e30", "", " ", "soon", True, [SECONDS], "nan", "9" * 400],
)
def test_an_absurd_time_is_named(
    stack: Stack, mixpanel: MixpanelStandIn, given: Any
) -> None:
    deliver(source().event(OPEN) | {"time": given})
    (item,) = quarantined_events(stack)
    assert item.reason == "bad_time"


def test_ids_that_mixpanel_would_cut_are_quarantined_and_named(
    stack: Stack, mixpanel: MixpanelStandIn
) -> None:
    made = source()
    events = [made.event(OPEN) for _ in range(4)]
    fits, *long = ("x" * MAX_ID, "x" * MAX_ID + "1", "x" * MAX_ID + "2", "ü" * 300)
    for event, user in zip(events, [fits, *long], strict=True):
        event["user"]["external_user_id"] = user
    deliver(events)
    assert the_one(mixpanel)["distinct_id"] == fits
    items = quarantined_events(stack)
    assert {(item.reason, item.field) for item in items} == {("id_too_long", "user")}
    assert len(items) == 3


def test_names_that_mixpanel_would_cut_are_reported_once_by_their_beginnings(
    stack: Stack, mixpanel: MixpanelStandIn, logged: io.StringIO
) -> None:
    made = source()
    named, owned, unknown = made.event(CUSTOM), made.event(CUSTOM), made.event(OPEN)
    named["properties"]["name"] = "Checkout " + "n" * 300
    owned["properties"]["custom_properties"] = {"Basket " + "p" * 300: 1}
    unknown["properties"]["drifted_" + "d" * 300] = 1
    for _ in range(2):
        deliver([named, owned, unknown])
    lines = [json.loads(line) for line in logged.getvalue().splitlines()]
    reports = [each["names"] for each in lines if "become one" in each["message"]]
    (names,) = reports
    assert len(names) == 3
    assert any(name.startswith("[Custom event property] Basket") for name in names)


@pytest.mark.parametrize("device", ["abc", "$device:abc", "$device:$device:abc"])
def test_a_device_prefix_is_not_doubled(
    stack: Stack,
    mixpanel: MixpanelStandIn,
    monkeypatch: pytest.MonkeyPatch,
    device: str,
) -> None:
    monkeypatch.setenv("ANONYMOUS_USERS", "device")
    app.importer.cache_clear()
    event = source().event("users.behaviors.app.SessionStart")
    event["user"] |= {"external_user_id": None, "device_id": device}
    deliver(event)
    assert the_one(mixpanel)["distinct_id"] == "$device:abc"


TOOL = {
    "event_type": "agentconsole.ToolInvocation",
    "id": "1b4c0f5e-7a52-4b5e-9a5c-3f0d2a6c8e11",
    "time": SECONDS,
    "user": {},
    "properties": {"tool_name": "search"},
}


@pytest.mark.parametrize(
    "event",
    [
        TOOL,
        {"event_type": "agentconsole.ToolInvocation", "id": "x", "time": SECONDS},
        TOOL | {"event_type": "agentconsole.Pigeon"},
    ],
    ids=["nested", "flat", "newer than the catalog"],
)
@pytest.mark.parametrize("anonymous", ["skip", "device"])
def test_an_event_without_a_user_has_a_rule_and_can_be_sent(
    stack: Stack,
    mixpanel: MixpanelStandIn,
    monkeypatch: pytest.MonkeyPatch,
    logged: io.StringIO,
    event: dict[str, Any],
    anonymous: str,
) -> None:
    monkeypatch.setenv("ANONYMOUS_USERS", anonymous)
    app.importer.cache_clear()
    deliver(event)
    assert mixpanel.visible() == {}
    assert '"without_user": 1' in logged.getvalue()
    monkeypatch.setenv("EVENTS_WITHOUT_USER", "send")
    app.importer.cache_clear()
    deliver(event)
    assert the_one(mixpanel)["distinct_id"] == ""


def test_an_anonymous_user_is_still_a_user(
    stack: Stack, mixpanel: MixpanelStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVENTS_WITHOUT_USER", "send")
    app.importer.cache_clear()
    event = source().event(OPEN)
    event["user"]["external_user_id"] = None
    deliver(event)
    assert mixpanel.visible() == {}


def test_the_events_page_says_what_never_arrives() -> None:
    page = (Path(__file__).parents[2] / "docs" / "events.md").read_text()
    (line,) = [
        each
        for each in page.splitlines()
        if "| `agentconsole.Tool" in each and "never" in each
    ]
    assert line.count("never: `without_user`") == 2
    assert "sent without a user" in line


def odd_avro(text: bytes) -> bytes:
    """A file of five events, the second with these bytes in its text."""
    made = source()
    events = [made.event(OPEN) for _ in range(5)]
    held = "Q" * len(text)
    events[1]["properties"]["user_agent"] = f"hi {held}"
    return avro_file(OPEN, events).replace(held.encode(), text)


@pytest.mark.parametrize(
    "text", [b"\xed\xa0\xbd\xed", b"\xff\xfe\xff", b"\xe2\x82\xe9"]
)
def test_a_text_in_avro_that_is_no_utf8_costs_nothing(
    stack: Stack, mixpanel: MixpanelStandIn, text: bytes
) -> None:
    deliver(odd_avro(text))
    assert len(mixpanel.visible()) == 5
    agents = [each["properties"]["user_agent"] for each in mixpanel.events]
    assert any(agent.startswith("hi \ufffd") for agent in agents)
    assert quarantined_events(stack) == []


def test_avro_of_the_source_is_read_as_before(
    stack: Stack, mixpanel: MixpanelStandIn
) -> None:
    made = source()
    deliver(avro_file(OPEN, [made.event(OPEN) for _ in range(7)]))
    assert len(mixpanel.visible()) == 7
