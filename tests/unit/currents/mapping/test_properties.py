"""Every property of Braze is stated, once, and as its own connector has it."""

from collections import Counter

import pytest

from bridge.currents.mapping.properties import (
    FLOAT32,
    JSON_TEXT,
    OWN_PROPERTIES,
    PERSONAL,
    RENAMED,
    RENAMED_IN_PART,
    TEXT_BOOLEANS,
    UNCHANGED,
    WITHHELD,
    is_reserved,
    known_properties,
    mapped_properties,
)
from tests.unit.currents.braze_events import (
    BRAZE_EVENTS,
    FLAT_PROPERTIES,
    BrazeEvent,
)


@pytest.mark.parametrize("kind", BRAZE_EVENTS, ids=lambda kind: kind.type)
def test_every_property_of_both_forms_is_known(kind: BrazeEvent) -> None:
    stored = kind.storage.keys() - {"id", "time"}
    if kind.type in FLAT_PROPERTIES:
        stored -= {"properties"}
    assert stored | kind.http | kind.user <= mapped_properties(kind.type).keys()


def test_properties_that_braze_marks_as_personal_are_personal() -> None:
    marked = {name for kind in BRAZE_EVENTS for name in kind.personal}
    assert marked - {"user_id", "external_user_id"} <= PERSONAL
    assert known_properties() >= PERSONAL


def test_numbers_of_32_bits_and_texts_are_stated_where_they_are() -> None:
    floats = {
        name: kind.type
        for kind in BRAZE_EVENTS
        for name, avro in kind.storage.items()
        if avro.startswith("float")
    }
    assert floats == FLOAT32


def test_each_property_is_stated_once() -> None:
    groups = [
        RENAMED,
        RENAMED_IN_PART,
        WITHHELD,
        FLOAT32,
        JSON_TEXT,
        TEXT_BOOLEANS,
        UNCHANGED,
        OWN_PROPERTIES,
    ]
    stated = Counter(name for group in groups for name in group)
    assert {name for name, times in stated.items() if times > 1} == set()


@pytest.mark.parametrize("kind", BRAZE_EVENTS, ids=lambda kind: kind.type)
def test_what_brazes_own_connector_sends_is_sent(kind: BrazeEvent) -> None:
    """R14: reports that were built on it go on, property by property."""
    if kind.connector is None:
        return
    kept = {"user_id", "timezone"} if kind.type.endswith("banner.Dismiss") else set()
    mapped = mapped_properties(kind.type)
    over_http = {
        mapped[name][0] for name in kind.http | (kind.user & {"device_id"})
    } - {""}
    own = {"[Custom event property]", "[Purchase property]"}
    assert kind.connector - kept - over_http == set()
    assert over_http - kind.connector - own <= kind.newer


@pytest.mark.parametrize("name", ["$merge", "token", " $x", "\u200btoken", "i\0p"])
def test_a_name_that_reads_as_one_of_mixpanels_is_reserved(name: str) -> None:
    assert is_reserved(name)


@pytest.mark.parametrize("name", ["to ken", "a $", "ip address", "url"])
def test_any_other_name_is_not_reserved(name: str) -> None:
    assert not is_reserved(name)
