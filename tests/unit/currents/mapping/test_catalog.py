"""The catalog is complete, and says each thing once."""

import re
from collections import Counter
from pathlib import Path

import pytest

from bridge.currents.mapping.catalog import (
    CATALOG,
    EVENTS,
    NO_DEVICE_IN_STORAGE,
    OLDER_SPELLINGS,
)
from scripts import events_page
from tests.unit.currents.braze_events import (
    BRAZE_EVENTS,
    BrazeEvent,
)

HERE = Path(__file__).parents[1]

MTU_EXEMPT = """
    Canvas Entry|Email Send|Email Delivery|Email Bounce|Email Soft Bounce
    |Email Mark As Spam|Email Unsubscribe|Push Notification Send
    |Push Notification Bounce|Webhook Send|SMS Send|SMS Delivery
    |SMS Delivery Failure|SMS Rejection|SMS Send to Carrier
"""
"""Mixpanel docs, "Braze": events that are left out of the MTU count, by name."""


def listed(name: str) -> set[str]:
    lines = (HERE / f"{name}.txt").read_text().splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def test_every_event_type_of_braze_is_in_the_catalog() -> None:
    assert [event.type for event in EVENTS] == [kind.type for kind in BRAZE_EVENTS]
    assert len(EVENTS) == 111
    assert [event.family for event in EVENTS] == [kind.family for kind in BRAZE_EVENTS]


@pytest.mark.parametrize("kind", BRAZE_EVENTS, ids=lambda kind: kind.type)
def test_names_are_those_of_brazes_connector(kind: BrazeEvent) -> None:
    """Decision 0020 has the exceptions."""
    ours = CATALOG[kind.type].name
    channel = kind.type.split(".")[2].upper() if kind.type.count(".") > 2 else ""
    if kind.name is None:
        assert kind.evidence == ()
    elif kind.type == "users.messages.sms.CarrierSend":
        assert (kind.name, ours) == ("SMS Carrier Send", "SMS Send to Carrier")
    elif channel in {"LINE", "RCS"}:
        named = kind.name.strip().removeprefix("Line ").removeprefix("LINE ")
        assert ours == f"{channel} {named}"
    else:
        assert ours == kind.name


def test_types_without_a_device_in_storage_are_stated() -> None:
    lacking = {
        kind.type
        for kind in BRAZE_EVENTS
        if "device_id" in kind.user and "device_id" not in kind.storage
    }
    assert lacking == NO_DEVICE_IN_STORAGE


def test_r14_all_required_event_types_are_in_the_catalog() -> None:
    required = listed("required_event_types")
    assert len(required) == 62
    assert required <= set(CATALOG)
    assert {"users_campaigns_abort", "users_canvas_abort"} == set(OLDER_SPELLINGS)


def test_r11_both_kinds_of_events_are_there() -> None:
    """The rules choose between them: test_rules."""
    assert {"message", "behavior"} <= {event.family for event in EVENTS}


def test_no_two_event_types_share_a_name() -> None:
    names = Counter(event.name for event in EVENTS)
    assert {name for name, times in names.items() if times > 1} == set()


def test_names_are_fit_to_be_read() -> None:
    for event in EVENTS:
        assert event.name == event.name.strip()
        assert re.fullmatch(r"[A-Za-z\[][A-Za-z \-\]]+", event.name), event.name


def test_names_that_mixpanel_exempts_from_mtu_are_spelt_as_it_spells_them() -> None:
    """A name that is spelt in another way is counted, and paid for."""
    exempt = {name.strip() for name in MTU_EXEMPT.split("|")}
    assert len(exempt) == 15
    assert exempt <= {event.name for event in EVENTS}


def test_the_generated_page_is_current() -> None:
    assert events_page.PAGE.read_text() == events_page.page()
