"""A quarantined event has its own bytes, and says where and when it came in."""

import json

from bridge.currents.delivery.batch import Batch
from bridge.currents.mapping.transform import MAPPING_VERSION
from tests.unit.currents.scripted_mixpanel import (
    ARRIVED,
    Mixpanel,
    record,
    run,
    source,
)


def test_a_quarantined_event_has_its_own_bytes_reason_and_position() -> None:
    made = source()
    good, bad = made.event(), made.event()
    bad["time"] = "yesterday"
    outcome = run(Mixpanel(), record(7, good, bad))
    ((item,),) = outcome.quarantined.values()
    assert json.loads(item.original) == bad
    assert (item.reason, item.field, item.position) == ("bad_time", "time", "shard:7/1")
    assert item.kind == bad["event_type"]


def test_a_rejected_event_is_quarantined_with_its_key_and_arrival() -> None:
    event = source().event("users.canvas.Entry")
    outcome = run(Mixpanel(rejects={event["id"]}), record(0, event))
    ((item,),) = outcome.quarantined.values()
    person = event["user"]["external_user_id"]
    assert item.key == ("Canvas Entry", person, event["time"], event["id"])
    assert item.arrived == ARRIVED
    assert item.mapping == MAPPING_VERSION
    assert item.kind == "users.canvas.Entry"


def test_each_record_has_its_own_originals_whichever_is_asked_for() -> None:
    made = source()
    events = [[made.event() for _ in range(2)] for _ in range(2)]
    batch = Batch(MAPPING_VERSION)
    batch.records += [record(number, *each) for number, each in enumerate(events)]
    for number, index in ((0, 1), (1, 0), (1, 1), (0, 0)):
        assert json.loads(batch.original(number, index)) == events[number][index]
