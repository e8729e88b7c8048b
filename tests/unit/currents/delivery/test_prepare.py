"""Each event is prepared on its own, and a fault of ours is its own alone."""

import json
from typing import Any

import pytest

from bridge.currents.decode.record import Decoded
from bridge.currents.delivery import prepare
from bridge.currents.mapping.result import Filtered
from bridge.currents.mapping.transform import Mapper
from bridge.settings import AnonymousUsers
from tests.unit.currents.scripted_mixpanel import (
    ARRIVED,
    Mixpanel,
    failing_on,
    record,
    run,
    source,
)


def test_a_fault_of_ours_on_one_event_does_not_stop_the_shard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = source()
    events = [made.event() for _ in range(3)]
    monkeypatch.setattr(Mapper, "transform", failing_on(events[1]["id"]))
    outcome = run(Mixpanel(), record(0, *events))
    ((item,),) = outcome.quarantined.values()
    assert (item.reason, item.message) == ("fault", "RuntimeError")
    assert json.loads(item.original) == events[1]
    assert outcome.accounts.delivered == 2


def test_a_record_on_which_the_decoder_fails_is_quarantined_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def decode(data: bytes) -> Any:
        raise RecursionError

    monkeypatch.setattr(prepare, "decode", decode)
    outcome = run(Mixpanel(), record(0, raw=b"[[[["))
    ((item,),) = outcome.quarantined.values()
    assert (item.original, item.reason) == (b"[[[[", "fault")


def test_an_event_of_a_megabyte_is_quarantined_without_a_call() -> None:
    made = source()
    large, small = made.event(), made.event()
    large["properties"]["url"] = "x" * 1_000_000
    mixpanel = Mixpanel()
    outcome = run(mixpanel, record(0, large, small))
    assert mixpanel.calls == [1]
    assert outcome.accounts.quarantined == {"too_large": 1}
    ((item,),) = outcome.quarantined.values()
    assert json.loads(item.original) == large


def test_the_key_of_a_line_is_what_mixpanel_de_duplicates_by() -> None:
    event = source().event("users.canvas.Entry")
    prepared = prepare.prepare(
        Decoded(json.dumps(event).encode(), event), ARRIVED, Mapper(AnonymousUsers.SKIP)
    )
    assert not isinstance(prepared, Filtered)
    line, sent = prepared
    properties = sent.event["properties"]
    values = [properties[name] for name in ("distinct_id", "time", "$insert_id")]
    assert prepare.key_of(line) == ("Canvas Entry", *values)
