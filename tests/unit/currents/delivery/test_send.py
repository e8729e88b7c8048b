"""Calls keep to Mixpanel's limits, and each answer is acted on."""

import math
from collections.abc import Sequence

import pytest

from bridge.currents.delivery.circuit_breaker import MIN_REJECTED_RECORDS
from bridge.currents.delivery.warm_state import WarmState
from bridge.currents.mapping.transform import Mapper
from bridge.errors import TooLarge
from bridge.mixpanel.import_api import EVENTS_PER_CALL, Failure, ImportReply
from tests.unit.currents.scripted_mixpanel import (
    WHY,
    Mixpanel,
    failing_on,
    id_of,
    record,
    rejected_records,
    run,
    source,
)


def test_calls_hold_2000_events_across_records() -> None:
    made = source()
    records = [record(n, *(made.event() for _ in range(900))) for n in range(5)]
    mixpanel = Mixpanel()
    run(mixpanel, *records)
    assert mixpanel.calls == [EVENTS_PER_CALL, EVENTS_PER_CALL, 500]


def test_a_rejected_event_is_quarantined_with_mixpanels_reason() -> None:
    made = source()
    events = [made.event() for _ in range(10)]
    outcome = run(Mixpanel(rejects={events[3]["id"]}), record(0, *events))
    ((item,),) = outcome.quarantined.values()
    assert (item.reason, item.field, item.message) == ("rejected", *vars_of(WHY))
    assert outcome.accounts.delivered == 9


def vars_of(failure: Failure) -> tuple[str, str]:
    return failure.field, failure.message


@pytest.mark.parametrize("how", ["vague", "too large"])
def test_where_mixpanel_names_nobody_the_culprit_is_found_by_halving(how: str) -> None:
    made = source()
    events = [made.event() for _ in range(64)]
    culprit = events[17]["id"]

    def answer(sent: Sequence[bytes]) -> ImportReply | None:
        if all(id_of(event) != culprit for event in sent):
            return None
        if how == "too large":
            raise TooLarge("mixpanel_too_large")
        return ImportReply(vague=True)

    outcome = run(Mixpanel(answer=answer), record(0, *events))
    assert outcome.accounts.delivered == 63
    assert outcome.accounts.quarantined == {"rejected": 1}


@pytest.mark.parametrize("at", [0, 1, 999, 1_000, 1_337, 1_999])
@pytest.mark.parametrize("patient", [True, False])
def test_a_bad_event_among_2000_costs_some_22_calls_however_often_time_runs_out(
    at: int, patient: bool
) -> None:
    made = source()
    events = [made.event() for _ in range(EVENTS_PER_CALL)]
    culprit = events[at]["id"]
    refusals = list[int]()

    def vague(sent: Sequence[bytes]) -> ImportReply | None:
        if all(id_of(event) != culprit for event in sent):
            return None
        refusals.append(len(sent))
        return ImportReply(vague=True)

    mixpanel, warm_state = Mixpanel(answer=vague), WarmState()
    left = [] if patient else [3.0] * 2
    while True:
        sent = record(0, *events)
        outcome = run(mixpanel, sent, left=left, warm_state=warm_state)
        if outcome.defer_from is None:
            break
    assert outcome.accounts.quarantined == {"rejected": 1}
    assert len(mixpanel.taken) == len(set(mixpanel.taken)) == 1_999
    assert len(mixpanel.calls) <= 2 * math.log2(EVENTS_PER_CALL) + 2
    assert len(refusals) <= math.log2(EVENTS_PER_CALL) + 2
    assert refusals.count(1) == 1


def test_a_mass_rejection_stops_before_the_stream_is_quarantined() -> None:
    records, rejected = rejected_records(MIN_REJECTED_RECORDS)
    warm_state = WarmState()
    outcome = run(Mixpanel(rejects=rejected), *records, warm_state=warm_state)
    assert outcome.error is not None
    assert outcome.error.reason == "mass_rejection"
    assert not outcome.quarantined
    assert outcome.defer_from == 0
    assert run(Mixpanel(), *records, warm_state=warm_state).defer_from is None, (
        "it heals"
    )


def test_a_mass_rejection_in_small_batches_is_seen_by_a_warm_process() -> None:
    records, rejected = rejected_records(MIN_REJECTED_RECORDS)
    warm_state = WarmState()
    waiting = [
        run(Mixpanel(rejects=rejected), each, warm_state=warm_state).defer_from
        for each in records
    ]
    assert waiting == [*[None] * (MIN_REJECTED_RECORDS - 1), 0]


def test_a_mass_rejection_can_be_quarantined_all_the_same() -> None:
    records, rejected = rejected_records(MIN_REJECTED_RECORDS)
    outcome = run(Mixpanel(rejects=rejected), *records, breaker=False)
    assert outcome.defer_from is None
    assert outcome.accounts.quarantined == {"rejected": 3 * MIN_REJECTED_RECORDS}


@pytest.mark.parametrize("events", [1, 500])
def test_a_poison_record_is_never_deferred(events: int) -> None:
    """Whether it is alone, is delivered again, or has good ones around it."""
    made = source()
    bad = [made.event() for _ in range(events)]
    rejects = {event["id"] for event in bad}
    warm_state = WarmState()
    for batch in ([record(0, *bad)] * 3, [record(1, made.event()), record(2, *bad)]):
        for each in batch:
            outcome = run(Mixpanel(rejects=rejects), each, warm_state=warm_state)
            assert outcome.defer_from is None
        assert outcome.accounts.quarantined == {"rejected": events}


def test_a_fault_of_ours_on_every_event_is_a_mass_rejection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Mapper, "transform", failing_on(None))
    records, _ = rejected_records(MIN_REJECTED_RECORDS)
    outcome = run(Mixpanel(), *records)
    assert outcome.error is not None
    assert outcome.error.reason == "mass_rejection"
    assert not outcome.quarantined


def test_calls_keep_below_ten_megabytes() -> None:
    made = source()
    events = [made.event() for _ in range(30)]
    for event in events:
        event["properties"]["url"] = "x" * 900_000
    sizes: list[int] = []

    def measure(sent: Sequence[bytes]) -> None:
        sizes.append(sum(len(each) + 1 for each in sent))

    run(Mixpanel(answer=measure), record(0, *events))
    assert max(sizes) < 10_000_000
    assert len(sizes) == 3


def test_a_413_halves_and_the_size_is_remembered() -> None:
    """Mixpanel's docs say 10 MB, its sample of the error 2,097,152 bytes."""
    made = source()
    events = [made.event() for _ in range(40)]
    for event in events:
        event["properties"]["url"] = "x" * 100_000

    def limit(sent: Sequence[bytes]) -> None:
        if sum(len(each) for each in sent) > 2_097_152:
            raise TooLarge("mixpanel_too_large")

    warm_state = WarmState()
    first = Mixpanel(answer=limit)
    assert (
        run(first, record(0, *events), warm_state=warm_state).accounts.delivered == 40
    )
    assert first.calls[:3] == [40, 20, 20]
    second = Mixpanel(answer=limit)
    run(second, record(1, *events), warm_state=warm_state)
    assert max(second.calls) == 20


def test_a_413_for_one_small_event_is_repeated() -> None:
    answers = iter([True, False])

    def once(_: Sequence[bytes]) -> None:
        if next(answers):
            raise TooLarge("mixpanel_too_large")

    outcome = run(Mixpanel(answer=once), record(0, source().event()))
    assert outcome.accounts.delivered == 1
