"""Of two events of one record that share an id, a different one gets its own."""

import copy
import json
import re
from typing import Any

import pytest

from bridge.currents.mapping.catalog import EVENTS
from bridge.currents.mapping.result import Sent
from bridge.currents.mapping.shared_ids import Earlier
from sandbox.braze.currents import flat
from tests.unit.currents.mapping.test_transform import ARRIVED, MAPPER, event, sent

ID = "1b4c0f5e-7a52-4b5e-9a5c-3f0d2a6c8e11"


PUBLIC_SAMPLE_TIME = 2_033_802_504


def ids(*events: Any) -> list[str]:
    """The `$insert_id`s of the events of one record."""
    earlier: Earlier = {}
    found = []
    for each in events:
        result = MAPPER.transform(each, json.dumps(each).encode(), ARRIVED, earlier)
        assert isinstance(result, Sent)
        found.append(result.event["properties"]["$insert_id"])
    return found


def test_the_same_event_twice_in_one_record_keeps_its_id() -> None:
    twice = event(properties={"url": "a"})
    assert ids(twice, copy.deepcopy(twice), event(properties={"url": "a"})) == [ID] * 3


def test_both_forms_of_one_event_in_one_record_keep_their_id() -> None:
    nested = event(properties={"url": "a", "dispatch_id": None, "campaign_id": "c"})
    stored = flat(nested) | {"event_type": nested["event_type"], "from_domain": "x"}
    assert ids(nested, stored) == [ID, ID]


@pytest.mark.parametrize("change", ["properties", "time"])
def test_two_events_of_one_record_that_share_an_id_are_both_sent(change: str) -> None:
    first = event(properties={"url": "a"})
    other = event(properties={"url": "b"})
    if change == "time":
        other = event(properties={"url": "a"}, time=1_767_225_601)
    one, two = ids(first, other)
    assert one == ID
    assert re.fullmatch("[0-9a-f]{36}", two)
    assert ids(first, other, first, other) == [one, two, one, two]
    assert ids(event("users.messages.email.Open"), first, other)[2] == two


def test_braze_test_events_that_share_one_id_differ_by_their_names() -> None:
    """Braze's public samples have one id and one time for all types."""
    sample = [event(row.type, time=PUBLIC_SAMPLE_TIME) for row in EVENTS]
    assert set(ids(*sample)) == {ID}
    names = {sent(each)["event"] for each in sample}
    assert len(names) == len(EVENTS)


def test_events_without_an_id_have_ids_of_their_own() -> None:
    drawn = [event(id=None, properties={"url": str(n)}) for n in range(50)]
    assert len(set(ids(*drawn))) == 50
