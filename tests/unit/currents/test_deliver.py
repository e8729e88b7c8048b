"""Delivery of a batch: in order, accounted for, and given back from where it waits."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from bridge.currents.deliver import (
    BREAKER_EVENTS,
    Delivered,
    Delivery,
    StreamRecord,
)
from bridge.currents.transform import Mapper
from bridge.errors import CredentialsRefused, RetryableError, TooLarge
from bridge.mixpanel.imports import EVENTS_PER_CALL, Failure, ImportReply, Outgoing
from bridge.settings import AnonymousUsers
from sandbox.braze.currents import CurrentsSource

ARRIVED = 1_795_518_000.0
WHY = Failure("properties.time", "odd")


class Mixpanel:
    """Stands where `MixpanelClient` does; `refuses` are ids, `judge` may raise."""

    def __init__(
        self,
        refuses: set[str] | None = None,
        judge: Callable[[Sequence[Outgoing]], ImportReply | None] = lambda _: None,
    ) -> None:
        self.refuses = refuses or set()
        self.judge = judge
        self.calls: list[int] = []
        self.taken: list[str] = []

    def import_events(self, events: Sequence[Outgoing]) -> ImportReply:
        self.calls.append(len(events))
        judged = self.judge(events)
        if judged is not None:
            return judged
        refused = {
            at: WHY
            for at, event in enumerate(events)
            if event.insert_id in self.refuses
        }
        self.taken += [
            event.insert_id for at, event in enumerate(events) if at not in refused
        ]
        return ImportReply(refused)


def source() -> CurrentsSource:
    return CurrentsSource(["cust-1", "cust-2"], 1_767_225_600)


def record(number: int, *events: Any, raw: bytes | None = None) -> StreamRecord:
    data = json.dumps(list(events)).encode() if raw is None else raw
    return StreamRecord(f"shard:{number}", ARRIVED, data)


def run(
    mixpanel: Mixpanel, *records: StreamRecord, left: Sequence[float] = ()
) -> Delivered:
    seconds = iter(left)
    delivery = Delivery(
        mixpanel, Mapper(AnonymousUsers.SKIP), lambda: next(seconds, 300.0)
    )
    done = delivery.run(records)
    assert done.accounts.closed, done.accounts
    per_event = sum(sum(counts.values()) for counts in done.by_event.values())
    assert per_event == done.accounts.received
    return done


def test_everything_is_delivered_filtered_or_put_aside() -> None:
    made = source()
    good, old, anonymous, bad = (made.event() for _ in range(4))
    old["time"] = 1
    anonymous["user"]["external_user_id"] = None
    bad["time"] = "yesterday"
    poison = record(1, raw=b"no event")
    done = run(Mixpanel(), record(0, good, old, anonymous, bad), poison)
    assert done.accounts.delivered == 1
    assert done.accounts.filtered == {"before_2010": 1, "no_external_id": 1}
    assert done.accounts.quarantined == {"bad_time": 1, "not_json": 1}
    assert done.retry_from is None


def test_what_is_put_aside_has_its_own_bytes_reason_and_position() -> None:
    made = source()
    good, bad = made.event(), made.event()
    bad["time"] = "yesterday"
    done = run(Mixpanel(), record(7, good, bad))
    ((item,),) = done.quarantine.values()
    assert json.loads(item.original) == bad
    assert (item.reason, item.field, item.position) == ("bad_time", "time", "shard:7/1")
    assert item.kind == bad["event_type"]


def test_calls_hold_2000_events_across_records() -> None:
    made = source()
    records = [record(n, *(made.event() for _ in range(900))) for n in range(5)]
    mixpanel = Mixpanel()
    run(mixpanel, *records)
    assert mixpanel.calls == [EVENTS_PER_CALL, EVENTS_PER_CALL, 500]


def test_a_refused_event_is_put_aside_with_mixpanels_reason() -> None:
    made = source()
    events = [made.event() for _ in range(10)]
    done = run(Mixpanel(refuses={events[3]["id"]}), record(0, *events))
    ((item,),) = done.quarantine.values()
    assert (item.reason, item.field, item.message) == ("refused", *vars_of(WHY))
    assert done.accounts.delivered == 9


def vars_of(failure: Failure) -> tuple[str, str]:
    return failure.field, failure.message


@pytest.mark.parametrize("how", ["vague", "too large"])
def test_where_mixpanel_names_nobody_the_culprit_is_found_by_halving(how: str) -> None:
    made = source()
    events = [made.event() for _ in range(64)]
    culprit = events[17]["id"]

    def judge(sent: Sequence[Outgoing]) -> ImportReply | None:
        if all(event.insert_id != culprit for event in sent):
            return None
        if how == "too large":
            raise TooLarge("mixpanel_too_large")
        return ImportReply(vague=True)

    done = run(Mixpanel(judge=judge), record(0, *events))
    assert done.accounts.delivered == 63
    assert done.accounts.quarantined == {"refused": 1}


def test_what_waits_is_given_back_from_its_first_record() -> None:
    made = source()
    records = [record(n, *(made.event() for _ in range(1500))) for n in range(4)]

    def second_fails(sent: Sequence[Outgoing]) -> ImportReply | None:
        if len(mixpanel.calls) == 2:
            raise RetryableError("mixpanel_status_503")
        return None

    mixpanel = Mixpanel(judge=second_fails)
    done = run(mixpanel, *records)
    assert done.retry_from == 1, "record 1 was sent in part, and comes again whole"
    assert done.accounts.delivered == EVENTS_PER_CALL
    assert done.accounts.retried == EVENTS_PER_CALL


def test_poison_behind_the_position_is_not_put_aside_twice() -> None:
    made = source()

    def fail(_: Sequence[Outgoing]) -> ImportReply | None:
        raise RetryableError("mixpanel_status_503")

    done = run(
        Mixpanel(judge=fail),
        record(0, raw=b"poison before"),
        record(1, made.event()),
        record(2, raw=b"poison behind"),
    )
    assert done.retry_from == 1
    assert list(done.quarantine) == [0]
    assert done.accounts.retried == 2


def test_refused_credentials_put_nothing_aside() -> None:
    made = source()

    def refuse(_: Sequence[Outgoing]) -> ImportReply | None:
        raise CredentialsRefused("mixpanel_401")

    done = run(Mixpanel(judge=refuse), record(0, made.event()), record(1, made.event()))
    assert done.retry_from == 0
    assert isinstance(done.error, CredentialsRefused)
    assert not done.quarantine


def test_mass_rejection_stops_instead_of_emptying_the_stream_into_quarantine() -> None:
    made = source()
    events = [made.event() for _ in range(BREAKER_EVENTS)]
    refused = {event["id"] for event in events[:11]}
    done = run(Mixpanel(refuses=refused), record(0, *events))
    assert done.error is not None
    assert done.error.reason == "mass_rejection"
    assert not done.quarantine
    assert done.accounts.retried == BREAKER_EVENTS


def test_without_time_the_rest_waits_but_one_chunk_always_goes() -> None:
    made = source()
    records = [record(n, *(made.event() for _ in range(2000))) for n in range(3)]
    done = run(Mixpanel(), *records, left=[3.0])
    assert (done.accounts.delivered, done.retry_from) == (2000, 1)


def test_names_that_the_catalog_does_not_know_are_reported() -> None:
    event = source().event()
    event["event_type"] = "users.messages.pigeon.Send"
    done = run(Mixpanel(), record(0, event))
    assert "users.messages.pigeon.Send" in done.drift
    assert done.accounts.delivered == 1
