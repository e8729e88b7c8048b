"""The figures of the live page from made-up readings."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from bridge.cohorts.rules.model import Cohort, Pages, Sync
from bridge.mixpanel.cohort_webhook import Action
from bridge.quarantine import QuarantinedItem
from sandbox.live.currents import Sent
from sandbox.live.metrics import LogReader, Metrics
from sandbox.live.people import Person
from sandbox.live.readings import (
    BrazeReading,
    LedgerReading,
    MixpanelReading,
    QueueDepth,
    Readings,
)
from sandbox.live.state import channel_of, figures, sync_state
from sandbox.mixpanel import Cohort as MixpanelCohort

EMAIL, SMS = "users.messages.email.Open", "users.messages.sms.Delivery"
PEOPLE = {f"u-{n}": Person(n, f"u-{n}", f"u-{n}") for n in range(4)}
COHORT = MixpanelCohort("7", "Trial", {"u-0": {}, "u-1": {}})


def event(id_: str, at_ms: int = 2_000) -> tuple[tuple[str, str, int, str], Any]:
    properties = {"$insert_id": id_, "mp_processing_time_ms": at_ms}
    return ("E", "u", 1, id_), {"event": "E", "properties": properties}


def readings(**changes: Any) -> Readings:
    calm = Readings(
        braze=BrazeReading(frozenset({"u-0", "u-1"}), 2, 0),
        mixpanel=MixpanelReading({}, 0),
        ledger=LedgerReading(Cohort(counts={"in": 2}), ()),
        queue=QueueDepth(0, 0, 0),
        metrics=Metrics(),
        quarantine=(),
        outcomes={},
        sent={},
    )
    return replace(calm, **changes)


def shown(**changes: Any) -> dict[str, Any]:
    return figures(readings(**changes), COHORT, PEOPLE)


def test_both_sides_are_equal_when_nothing_differs_and_nothing_waits() -> None:
    assert shown()["equal"]


@pytest.mark.parametrize(
    "changes",
    [
        {"braze": BrazeReading(frozenset({"u-0"}), 2, 0)},
        {"braze": BrazeReading(frozenset({"u-0", "u-1", "u-2"}), 2, 0)},
        {"braze": BrazeReading(frozenset({"u-0", "u-1", "stranger"}), 2, 0)},
        {"queue": QueueDepth(0, 0, 1)},
        {"queue": QueueDepth(1, 0, 0)},
        {"queue": QueueDepth(0, 1, 0)},
        {"sent": {"a": Sent(EMAIL, 1.0)}},
    ],
)
def test_they_are_not_equal_as_soon_as_one_thing_is_missing(
    changes: Mapping[str, Any],
) -> None:
    assert not shown(**changes)["equal"]


def test_who_is_in_on_one_side_alone_differs() -> None:
    members = shown(braze=BrazeReading(frozenset({"u-1", "u-2"}), 2, 0))["cohort"]
    assert members["difference"] == 2
    assert [person["braze"] for person in members["people"]] == [
        False,
        True,
        True,
        False,
    ]


def test_an_event_has_one_fate() -> None:
    sent = {id_: Sent(EMAIL, 1.0) for id_ in "abcd"} | {"s": Sent(SMS, 1.0)}
    found = shown(
        sent=sent,
        mixpanel=MixpanelReading(dict([event("a"), event("b")]), 3),
        metrics=Metrics(
            filtered=Counter({"exclude x": 1}), filtered_by_type=Counter({SMS: 1})
        ),
        quarantine=[QuarantinedItem(b'{"id": "c"}', "bad_time", kind=EMAIL)],
    )["events"]
    email = next(each for each in found["channels"] if each["name"] == "Email")
    assert email == {
        "name": "Email",
        "sent": 4,
        "delivered": 2,
        "filtered": 0,
        "quarantined": 1,
        "on_the_way": 1,
    }
    assert (found["sent"], found["delivered"], found["copies"]) == (5, 2, 3)
    assert (found["filtered"], found["on_the_way"], found["lag"]) == (1, 1, 1.0)


def test_an_event_that_was_replayed_is_in_quarantine_no_more() -> None:
    found = shown(
        sent={"c": Sent(EMAIL, 1.0)},
        mixpanel=MixpanelReading(dict([event("c")]), 1),
        quarantine=[
            QuarantinedItem(b'{"id": "c"}', "too_large", kind=EMAIL),
            QuarantinedItem(b'{"id": "c"}', "reshaped", kind=EMAIL),
        ],
    )["events"]
    assert (found["delivered"], found["quarantined"], found["reshaped"]) == (1, 0, 1)


def test_an_event_filtered_twice_is_one_event() -> None:
    found = shown(
        sent={"s": Sent(SMS, 1.0), "t": Sent(SMS, 1.0)},
        mixpanel=MixpanelReading(dict([event("t")]), 1),
        metrics=Metrics(filtered_by_type=Counter({SMS: 2})),
    )["events"]
    assert (found["on_the_way"], found["delivered"]) == (0, 1)


def test_writes_are_spared_that_a_receiver_without_a_memory_would_make() -> None:
    braze = BrazeReading(frozenset(), 42, 2)
    outcomes = {"no-op": 56, "added": 40}
    assert shown(outcomes=outcomes, braze=braze)["writes"] == {
        "made": 42,
        "spared": 56,
        "without_effect": 2,
    }


BOTH = {Action.ADD: Pages().plus("1"), Action.REMOVE: Pages().plus("1")}


def sync(seq: int, **changes: Any) -> Sync:
    totals = {Action.ADD: 1, Action.REMOVE: 1}
    made = Sync(seq, full=False, last_page_at=seq, totals=totals, accepted=BOTH)
    return replace(made, **{"processed": 2, **changes})


@pytest.mark.parametrize(
    ("one", "cohort", "state"),
    [
        (sync(5), Cohort(baseline=3, newest=5, syncs=(sync(5),)), "complete"),
        (sync(5), Cohort(baseline=3, newest=9), "complete"),
        (
            sync(5, processed=1),
            Cohort(baseline=3, newest=5, syncs=(sync(5, processed=1),)),
            "open",
        ),
        (
            sync(5, accepted={Action.ADD: Pages().plus("1")}, processed=1),
            Cohort(
                baseline=3,
                newest=5,
                syncs=(sync(5, accepted={Action.ADD: Pages().plus("1")}),),
            ),
            "open",
        ),
        (sync(5, aborted=True), Cohort(baseline=3, newest=9), "aborted"),
        (sync(5), Cohort(baseline=3, newest=9, aborted=frozenset({5})), "aborted"),
        (sync(5, full=True), Cohort(baseline=5, newest=9), "baseline"),
        (sync(5), Cohort(baseline=7, newest=9), "superseded"),
        (sync(5), Cohort(baseline=3, held_removal=5, newest=9), "held removal"),
    ],
)
def test_the_state_of_a_sync(one: Sync, cohort: Cohort, state: str) -> None:
    assert sync_state(one, cohort) == state


def test_every_type_has_a_channel() -> None:
    assert channel_of(EMAIL) == "Email"
    assert channel_of("users.behaviors.app.SessionStart") == "App"
    assert channel_of("unheard.of") == "App"


def test_the_logs_are_added_up_as_they_grow(tmp_path: Any) -> None:
    log = tmp_path / "CohortConsumerFunction.log"
    line = (
        '{"_aws":{"CloudWatchMetrics":[{"Metrics":[{"Name":"MembersPushed"}]}]},'
        '"MembersPushed":[3.0,4.0]}\n'
    )
    log.write_text("START\n" + line + line[:20])
    reader = LogReader(tmp_path)
    assert reader.read().of("MembersPushed") == 7
    with log.open("a") as file:
        file.write(line[20:] + '{"by_event": {"x": {"filtered": 2}}, "filtered": {}}\n')
    metrics = reader.read()
    assert metrics.of("MembersPushed") == 14
    assert metrics.totals["CohortConsumer", "MembersPushed"] == 14
    assert metrics.filtered_by_type == {"x": 2}
