"""The catalog is complete, and says each thing once."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from bridge.currents.catalog import CATALOG, EVENTS, OLDER_SPELLINGS
from bridge.currents.properties import (
    FLOAT32,
    JSON_TEXT,
    RENAMED,
    RENAMED_IN_PART,
    UNCHANGED,
    WITHHELD,
)
from bridge.currents.transform import OWN_PROPERTIES

HERE = Path(__file__).parent

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
    assert {event.type for event in EVENTS} == listed("braze_event_types")
    assert len(EVENTS) == 111


def test_r14_all_required_event_types_are_in_the_catalog() -> None:
    required = listed("required_event_types")
    assert len(required) == 62
    assert required <= set(CATALOG)
    assert {"users_campaigns_abort", "users_canvas_abort"} == set(OLDER_SPELLINGS)


def test_r11_both_kinds_of_events_are_there() -> None:
    assert {"message", "behavior"} <= {event.family for event in EVENTS}


def test_no_two_event_types_share_a_name() -> None:
    names = Counter(event.name for event in EVENTS)
    assert {name for name, times in names.items() if times > 1} == set()


def test_names_are_fit_to_be_read() -> None:
    for event in EVENTS:
        assert event.name == event.name.strip()
        assert re.fullmatch(r"[A-Za-z\[][A-Za-z \-\]]+", event.name), event.name


def test_names_that_mixpanel_exempts_from_mtu_are_spelt_as_it_spells_them() -> None:
    exempt = {name.strip() for name in MTU_EXEMPT.split("|")}
    assert len(exempt) == 15
    assert exempt <= {event.name for event in EVENTS}


def test_each_property_is_stated_once() -> None:
    groups = [
        RENAMED,
        RENAMED_IN_PART,
        WITHHELD,
        FLOAT32,
        JSON_TEXT,
        UNCHANGED,
        OWN_PROPERTIES,
    ]
    stated = Counter(name for group in groups for name in group)
    assert {name for name, times in stated.items() if times > 1} == set()


@pytest.mark.parametrize("arguments", [["--check"]])
def test_the_generated_page_is_current(arguments: list[str]) -> None:
    root = HERE.parents[2]
    script = [sys.executable, str(root / "scripts" / "events_page.py"), *arguments]
    path = {"PYTHONPATH": str(root / "layers" / "application")}
    assert subprocess.run(script, env=path, check=False).returncode == 0  # noqa: S603
