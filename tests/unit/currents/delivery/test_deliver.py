"""Delivery of a batch: in order, accounted for, and given back from where it waits."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from bridge.currents.delivery import prepare
from bridge.currents.delivery.batch import StreamRecord
from bridge.currents.delivery.circuit_breaker import MIN_REJECTED_RECORDS
from bridge.currents.delivery.deliver import RECORDS_PER_TIME_CHECK, Delivery
from bridge.currents.delivery.outcome import Outcome
from bridge.currents.delivery.prepare import key_of
from bridge.currents.delivery.warm_state import WarmState
from bridge.currents.mapping.transform import MAPPING_VERSION, Mapper
from bridge.errors import CredentialsRejected, RetryableError, TooLarge
from bridge.mixpanel.import_api import EVENTS_PER_CALL, Failure, ImportReply
from bridge.settings import AnonymousUsers
from sandbox.braze.currents import CurrentsSource

ARRIVED = 1_795_518_000.0
WHY = Failure("properties.time", "odd")


class Mixpanel:
    """Stands where `MixpanelClient` does; `refuses` are ids, `judge` may raise."""

    def __init__(
        self,
        refuses: set[str] | None = None,
        judge: Callable[[Sequence[bytes]], ImportReply | None] = lambda _: None,
    ) -> None:
        self.refuses = refuses or set()
        self.judge = judge
        self.calls: list[int] = []
        self.taken: list[str] = []

    def import_events(self, events: Sequence[bytes]) -> ImportReply:
        self.calls.append(len(events))
        judged = self.judge(events)
        if judged is not None:
            return judged
        rejected = {
            at: WHY for at, event in enumerate(events) if id_of(event) in self.refuses
        }
        self.taken += [
            id_of(event) for at, event in enumerate(events) if at not in rejected
        ]
        return ImportReply(rejected)


def id_of(line: bytes) -> str:
    return key_of(line)[3]


def source() -> CurrentsSource:
    return CurrentsSource(["cust-1", "cust-2"], 1_767_225_600)


def record(number: int, *events: Any, raw: bytes | None = None) -> StreamRecord:
    data = json.dumps(list(events)).encode() if raw is None else raw
    return StreamRecord(f"shard:{number}", ARRIVED, data)


def run(
    mixpanel: Mixpanel,
    *records: StreamRecord,
    left: Sequence[float] = (),
    warm_state: WarmState | None = None,
    breaker: bool = True,
) -> Outcome:
    seconds = iter(left)
    done = Delivery(
        mixpanel,
        Mapper(AnonymousUsers.SKIP),
        lambda: next(seconds, 300.0),
        warm_state or WarmState(),
        breaker=breaker,
    ).run(records)
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
    assert done.defer_from is None


def test_what_is_put_aside_has_its_own_bytes_reason_and_position() -> None:
    made = source()
    good, bad = made.event(), made.event()
    bad["time"] = "yesterday"
    done = run(Mixpanel(), record(7, good, bad))
    ((item,),) = done.quarantined.values()
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
    ((item,),) = done.quarantined.values()
    assert (item.reason, item.field, item.message) == ("rejected", *vars_of(WHY))
    assert done.accounts.delivered == 9


def vars_of(failure: Failure) -> tuple[str, str]:
    return failure.field, failure.message


@pytest.mark.parametrize("how", ["vague", "too large"])
def test_where_mixpanel_names_nobody_the_culprit_is_found_by_halving(how: str) -> None:
    made = source()
    events = [made.event() for _ in range(64)]
    culprit = events[17]["id"]

    def judge(sent: Sequence[bytes]) -> ImportReply | None:
        if all(id_of(event) != culprit for event in sent):
            return None
        if how == "too large":
            raise TooLarge("mixpanel_too_large")
        return ImportReply(vague=True)

    done = run(Mixpanel(judge=judge), record(0, *events))
    assert done.accounts.delivered == 63
    assert done.accounts.quarantined == {"rejected": 1}


def test_what_waits_is_given_back_from_its_first_record() -> None:
    made = source()
    records = [record(n, *(made.event() for _ in range(1500))) for n in range(4)]

    def second_fails(sent: Sequence[bytes]) -> ImportReply | None:
        if len(mixpanel.calls) == 2:
            raise RetryableError("mixpanel_status_503")
        return None

    mixpanel = Mixpanel(judge=second_fails)
    done = run(mixpanel, *records)
    assert done.defer_from == 1, "record 1 was sent in part, and comes again whole"
    assert done.accounts.delivered == EVENTS_PER_CALL
    assert done.accounts.deferred == EVENTS_PER_CALL


def test_poison_behind_the_position_is_not_put_aside_twice() -> None:
    made = source()

    def fail(_: Sequence[bytes]) -> ImportReply | None:
        raise RetryableError("mixpanel_status_503")

    done = run(
        Mixpanel(judge=fail),
        record(0, raw=b"poison before"),
        record(1, made.event()),
        record(2, raw=b"poison behind"),
    )
    assert done.defer_from == 1
    assert list(done.quarantined) == [0]
    assert done.accounts.deferred == 2


def test_refused_credentials_put_nothing_aside() -> None:
    made = source()

    def refuse(_: Sequence[bytes]) -> ImportReply | None:
        raise CredentialsRejected("mixpanel_401")

    done = run(Mixpanel(judge=refuse), record(0, made.event()), record(1, made.event()))
    assert done.defer_from == 0
    assert isinstance(done.error, CredentialsRejected)
    assert not done.quarantined


def refused_records(number: int) -> tuple[list[StreamRecord], set[str]]:
    """Records of ten events, of which the first three have ids that are returned."""
    made = source()
    batches = [[made.event() for _ in range(10)] for _ in range(number)]
    ids = {event["id"] for events in batches for event in events[:3]}
    return [record(at, *events) for at, events in enumerate(batches)], ids


def test_mass_rejection_stops_instead_of_emptying_the_stream_into_quarantine() -> None:
    records, rejected = refused_records(MIN_REJECTED_RECORDS)
    warm_state = WarmState()
    done = run(Mixpanel(refuses=rejected), *records, warm_state=warm_state)
    assert done.error is not None
    assert done.error.reason == "mass_rejection"
    assert not done.quarantined
    assert done.defer_from == 0
    assert run(Mixpanel(), *records, warm_state=warm_state).defer_from is None, (
        "it heals"
    )


def test_a_mass_rejection_in_small_batches_is_seen_by_a_warm_process() -> None:
    records, rejected = refused_records(MIN_REJECTED_RECORDS)
    warm_state = WarmState()
    waiting = [
        run(Mixpanel(refuses=rejected), each, warm_state=warm_state).defer_from
        for each in records
    ]
    assert waiting == [*[None] * (MIN_REJECTED_RECORDS - 1), 0]


def test_a_mass_rejection_can_be_let_through() -> None:
    records, rejected = refused_records(MIN_REJECTED_RECORDS)
    done = run(Mixpanel(refuses=rejected), *records, breaker=False)
    assert done.defer_from is None
    assert done.accounts.quarantined == {"rejected": 3 * MIN_REJECTED_RECORDS}


@pytest.mark.parametrize("events", [1, 500])
def test_a_poison_record_never_waits(events: int) -> None:
    """Whether it is alone, comes again, or has a batch of good ones around it."""
    made = source()
    bad = [made.event() for _ in range(events)]
    refuses = {event["id"] for event in bad}
    warm_state = WarmState()
    for batch in ([record(0, *bad)] * 3, [record(1, made.event()), record(2, *bad)]):
        for each in batch:
            done = run(Mixpanel(refuses=refuses), each, warm_state=warm_state)
            assert done.defer_from is None
        assert done.accounts.quarantined == {"rejected": events}


def test_a_fault_of_ours_on_one_event_does_not_stop_the_shard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = source()
    events = [made.event() for _ in range(3)]
    monkeypatch.setattr(Mapper, "transform", failing_on(events[1]["id"]))
    done = run(Mixpanel(), record(0, *events))
    ((item,),) = done.quarantined.values()
    assert (item.reason, item.message) == ("fault", "RuntimeError")
    assert json.loads(item.original) == events[1]
    assert done.accounts.delivered == 2


def test_a_fault_of_ours_on_every_event_is_a_mass_rejection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Mapper, "transform", failing_on(None))
    records, _ = refused_records(MIN_REJECTED_RECORDS)
    done = run(Mixpanel(), *records)
    assert done.error is not None
    assert done.error.reason == "mass_rejection"
    assert not done.quarantined


def failing_on(event_id: str | None) -> Callable[..., Any]:
    real = Mapper.transform

    def transform(mapper: Mapper, event: Any, *rest: Any) -> Any:
        if event_id in {None, event["id"]}:
            raise RuntimeError("canary: may quote the event")
        return real(mapper, event, *rest)

    return transform


def test_a_record_on_which_the_decoder_fails_is_set_aside_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def decode(data: bytes) -> Any:
        raise RecursionError

    monkeypatch.setattr(prepare, "decode", decode)
    done = run(Mixpanel(), record(0, raw=b"[[[["))
    ((item,),) = done.quarantined.values()
    assert (item.original, item.reason) == (b"[[[[", "fault")


@pytest.mark.parametrize("raw", [b"[]", b'{"events": []}'])
def test_a_record_without_events_is_nothing_to_account_for(raw: bytes) -> None:
    assert run(Mixpanel(), record(0, raw=raw)).accounts.received == 0


def test_an_event_of_a_megabyte_is_set_aside_without_a_call() -> None:
    made = source()
    large, small = made.event(), made.event()
    large["properties"]["url"] = "x" * 1_000_000
    mixpanel = Mixpanel()
    done = run(mixpanel, record(0, large, small))
    assert mixpanel.calls == [1]
    assert done.accounts.quarantined == {"too_large": 1}
    ((item,),) = done.quarantined.values()
    assert json.loads(item.original) == large


def test_calls_keep_below_ten_megabytes() -> None:
    made = source()
    events = [made.event() for _ in range(30)]
    for event in events:
        event["properties"]["url"] = "x" * 900_000
    sizes: list[int] = []

    def measure(sent: Sequence[bytes]) -> None:
        sizes.append(sum(len(each) + 1 for each in sent))

    run(Mixpanel(judge=measure), record(0, *events))
    assert max(sizes) < 10_000_000
    assert len(sizes) == 3


def test_a_413_halves_and_the_size_is_remembered() -> None:
    """The documents say 10 MB, the sample of the error 2,097,152 bytes."""
    made = source()
    events = [made.event() for _ in range(40)]
    for event in events:
        event["properties"]["url"] = "x" * 100_000

    def limit(sent: Sequence[bytes]) -> None:
        if sum(len(each) for each in sent) > 2_097_152:
            raise TooLarge("mixpanel_too_large")

    warm_state = WarmState()
    first = Mixpanel(judge=limit)
    assert (
        run(first, record(0, *events), warm_state=warm_state).accounts.delivered == 40
    )
    assert first.calls[:3] == [40, 20, 20]
    second = Mixpanel(judge=limit)
    run(second, record(1, *events), warm_state=warm_state)
    assert max(second.calls) == 20


def test_a_413_for_one_small_event_is_asked_again() -> None:
    answers = iter([True, False])

    def once(_: Sequence[bytes]) -> None:
        if next(answers):
            raise TooLarge("mixpanel_too_large")

    done = run(Mixpanel(judge=once), record(0, source().event()))
    assert done.accounts.delivered == 1


def test_a_record_larger_than_an_invocation_is_delivered_in_parts() -> None:
    """One call an invocation: each continues where the one before it ended."""
    made = source()
    events = [made.event() for _ in range(5_000)]
    events[10]["time"] = "yesterday"
    warm_state, mixpanel = WarmState(), Mixpanel(refuses={events[2500]["id"]})
    waits = [
        run(mixpanel, record(0, *events), left=[3.0], warm_state=warm_state).defer_from
        for _ in range(2)
    ]
    assert waits == [0, 0]
    done = run(mixpanel, record(0, *events), left=[3.0], warm_state=warm_state)
    assert done.defer_from is None
    assert len(mixpanel.taken) == len(set(mixpanel.taken)) == 4_998
    (items,) = done.quarantined.values()
    assert [item.position for item in items] == ["shard:0/10", "shard:0/2500"]


def test_what_halving_has_settled_is_not_resent() -> None:
    """A culprit that Mixpanel does not name is found though time is short."""
    made = source()
    events = [made.event() for _ in range(64)]
    culprit = events[40]["id"]

    def judge(sent: Sequence[bytes]) -> ImportReply | None:
        named = any(id_of(each) == culprit for each in sent)
        return ImportReply(vague=True) if named else None

    warm_state, mixpanel = WarmState(), Mixpanel(judge=judge)
    first = run(mixpanel, record(0, *events), left=[3.0], warm_state=warm_state)
    assert first.accounts.delivered == 32
    second = run(mixpanel, record(0, *events), warm_state=warm_state)
    assert second.accounts.received == 32
    assert second.accounts.quarantined == {"rejected": 1}
    assert len(mixpanel.taken) == len(set(mixpanel.taken)) == 63


def test_the_event_that_found_the_chunk_full_is_accounted_for_too() -> None:
    made = source()

    def fail(_: Sequence[bytes]) -> None:
        raise RetryableError("mixpanel_status_503")

    events = [made.event() for _ in range(EVENTS_PER_CALL + 5)]
    done = run(Mixpanel(judge=fail), record(0, *events))
    assert done.accounts.received == done.accounts.deferred == EVENTS_PER_CALL


def test_a_refused_event_is_kept_with_its_key_and_arrival() -> None:
    event = source().event("users.canvas.Entry")
    done = run(Mixpanel(refuses={event["id"]}), record(0, event))
    ((item,),) = done.quarantined.values()
    person = event["user"]["external_user_id"]
    assert item.key == ("Canvas Entry", person, event["time"], event["id"])
    assert item.arrived == ARRIVED
    assert item.mapping == MAPPING_VERSION
    assert item.kind == "users.canvas.Entry"


def test_without_time_the_rest_waits_but_one_chunk_always_goes() -> None:
    made = source()
    records = [record(n, *(made.event() for _ in range(2000))) for n in range(3)]
    done = run(Mixpanel(), *records, left=[3.0])
    assert (done.accounts.delivered, done.defer_from) == (2000, 1)


def test_names_that_the_catalog_does_not_know_are_reported() -> None:
    event = source().event()
    event["event_type"] = "users.messages.pigeon.Send"
    done = run(Mixpanel(), record(0, event))
    assert "users.messages.pigeon.Send" in done.drift
    assert done.accounts.delivered == 1
    assert list(done.by_event) == ["?"], "a name that can be any text is not counted by"


def test_time_runs_short_over_records_that_send_nothing_too() -> None:
    old = source().event() | {"time": 1}
    records = [record(number, old) for number in range(3 * RECORDS_PER_TIME_CHECK)]
    done = run(Mixpanel(), *records, left=[300.0, 5.0])
    assert done.defer_from == 2 * RECORDS_PER_TIME_CHECK - 1
    assert done.accounts.filtered == {"before_2010": 2 * RECORDS_PER_TIME_CHECK - 1}
    assert done.error is not None
    assert done.error.reason == "out_of_time"
