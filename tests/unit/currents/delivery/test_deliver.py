"""A batch is delivered in order, accounted for, and deferred from where it stops."""

from collections.abc import Sequence

import pytest

from bridge.currents.delivery.deliver import RECORDS_PER_TIME_CHECK
from bridge.currents.delivery.warm_state import WarmState
from bridge.errors import CredentialsRejected, RetryableError
from bridge.mixpanel.import_api import EVENTS_PER_CALL, ImportReply
from tests.unit.currents.scripted_mixpanel import Mixpanel, id_of, record, run, source


def test_every_event_is_delivered_filtered_or_quarantined() -> None:
    made = source()
    good, old, anonymous, bad = (made.event() for _ in range(4))
    old["time"] = 1
    anonymous["user"]["external_user_id"] = None
    bad["time"] = "yesterday"
    poison = record(1, raw=b"no event")
    outcome = run(Mixpanel(), record(0, good, old, anonymous, bad), poison)
    assert outcome.accounts.delivered == 1
    assert outcome.accounts.filtered == {"before_2010": 1, "no_external_id": 1}
    assert outcome.accounts.quarantined == {"bad_time": 1, "not_json": 1}
    assert outcome.defer_from is None


def test_unfinished_records_are_deferred_from_the_first() -> None:
    made = source()
    records = [record(n, *(made.event() for _ in range(1500))) for n in range(4)]

    def second_fails(sent: Sequence[bytes]) -> ImportReply | None:
        if len(mixpanel.calls) == 2:
            raise RetryableError("mixpanel_status_503")
        return None

    mixpanel = Mixpanel(answer=second_fails)
    outcome = run(mixpanel, *records)
    assert outcome.defer_from == 1, "record 1 was sent in part, and comes again whole"
    assert outcome.accounts.delivered == EVENTS_PER_CALL
    assert outcome.accounts.deferred == EVENTS_PER_CALL


def test_poison_behind_the_deferred_record_is_not_quarantined_twice() -> None:
    made = source()

    def fail(_: Sequence[bytes]) -> ImportReply | None:
        raise RetryableError("mixpanel_status_503")

    outcome = run(
        Mixpanel(answer=fail),
        record(0, raw=b"poison before"),
        record(1, made.event()),
        record(2, raw=b"poison behind"),
    )
    assert outcome.defer_from == 1
    assert list(outcome.quarantined) == [0]
    assert outcome.accounts.deferred == 2


def test_rejected_credentials_quarantine_nothing() -> None:
    made = source()

    def reject(_: Sequence[bytes]) -> ImportReply | None:
        raise CredentialsRejected("mixpanel_401")

    outcome = run(
        Mixpanel(answer=reject), record(0, made.event()), record(1, made.event())
    )
    assert outcome.defer_from == 0
    assert isinstance(outcome.error, CredentialsRejected)
    assert not outcome.quarantined


@pytest.mark.parametrize("raw", [b"[]", b'{"events": []}'])
def test_a_record_without_events_is_nothing_to_account_for(raw: bytes) -> None:
    assert run(Mixpanel(), record(0, raw=raw)).accounts.received == 0


def test_a_record_larger_than_an_invocation_is_delivered_in_parts() -> None:
    """With one call an invocation, each resumes where the one before it ended."""
    made = source()
    events = [made.event() for _ in range(5_000)]
    events[10]["time"] = "yesterday"
    warm_state, mixpanel = WarmState(), Mixpanel(rejects={events[2500]["id"]})
    waits = [
        run(mixpanel, record(0, *events), left=[3.0], warm_state=warm_state).defer_from
        for _ in range(2)
    ]
    assert waits == [0, 0]
    outcome = run(mixpanel, record(0, *events), left=[3.0], warm_state=warm_state)
    assert outcome.defer_from is None
    assert len(mixpanel.taken) == len(set(mixpanel.taken)) == 4_998
    (items,) = outcome.quarantined.values()
    assert [item.position for item in items] == ["shard:0/10", "shard:0/2500"]


def test_what_halving_has_finished_is_not_resent() -> None:
    """A culprit that Mixpanel does not name is found even when time is short."""
    made = source()
    events = [made.event() for _ in range(64)]
    culprit = events[40]["id"]

    def answer(sent: Sequence[bytes]) -> ImportReply | None:
        named = any(id_of(each) == culprit for each in sent)
        return ImportReply(vague=True) if named else None

    warm_state, mixpanel = WarmState(), Mixpanel(answer=answer)
    first = run(mixpanel, record(0, *events), left=[3.0], warm_state=warm_state)
    assert first.accounts.delivered == 32
    second = run(mixpanel, record(0, *events), warm_state=warm_state)
    assert second.accounts.received == 32
    assert second.accounts.quarantined == {"rejected": 1}
    assert len(mixpanel.taken) == len(set(mixpanel.taken)) == 63


def test_the_event_that_found_the_call_full_is_accounted_for_too() -> None:
    made = source()

    def fail(_: Sequence[bytes]) -> None:
        raise RetryableError("mixpanel_status_503")

    events = [made.event() for _ in range(EVENTS_PER_CALL + 5)]
    outcome = run(Mixpanel(answer=fail), record(0, *events))
    assert outcome.accounts.received == outcome.accounts.deferred == EVENTS_PER_CALL


def test_without_time_the_rest_is_deferred_but_one_call_is_always_made() -> None:
    made = source()
    records = [record(n, *(made.event() for _ in range(2000))) for n in range(3)]
    outcome = run(Mixpanel(), *records, left=[3.0])
    assert (outcome.accounts.delivered, outcome.defer_from) == (2000, 1)


def test_names_that_the_catalog_does_not_know_are_reported() -> None:
    event = source().event()
    event["event_type"] = "users.messages.pigeon.Send"
    outcome = run(Mixpanel(), record(0, event))
    assert "users.messages.pigeon.Send" in outcome.drift
    assert outcome.accounts.delivered == 1
    assert list(outcome.by_event) == ["?"], "its name can be any text"


def test_time_runs_short_over_records_that_send_nothing_too() -> None:
    old = source().event() | {"time": 1}
    records = [record(number, old) for number in range(3 * RECORDS_PER_TIME_CHECK)]
    outcome = run(Mixpanel(), *records, left=[300.0, 5.0])
    assert outcome.defer_from == 2 * RECORDS_PER_TIME_CHECK - 1
    assert outcome.accounts.filtered == {"before_2010": 2 * RECORDS_PER_TIME_CHECK - 1}
    assert outcome.error is not None
    assert outcome.error.reason == "out_of_time"
