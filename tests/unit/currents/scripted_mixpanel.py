"""A Mixpanel with scripted answers, and the delivery of records to it."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from bridge.currents.delivery.batch import StreamRecord
from bridge.currents.delivery.deliver import Delivery
from bridge.currents.delivery.outcome import Outcome
from bridge.currents.delivery.prepare import key_of
from bridge.currents.delivery.warm_state import WarmState
from bridge.currents.mapping.transform import Mapper
from bridge.mixpanel.import_api import Failure, ImportReply
from bridge.settings import AnonymousUsers
from sandbox.braze.currents import CurrentsSource

ARRIVED = 1_795_518_000.0


WHY = Failure("properties.time", "odd")


class Mixpanel:
    """Stands in for `MixpanelClient`; `rejects` are ids, `answer` may raise."""

    def __init__(
        self,
        rejects: set[str] | None = None,
        answer: Callable[[Sequence[bytes]], ImportReply | None] = lambda _: None,
    ) -> None:
        self.rejects = rejects or set()
        self.answer = answer
        self.calls: list[int] = []
        self.taken: list[str] = []

    def import_events(self, events: Sequence[bytes]) -> ImportReply:
        self.calls.append(len(events))
        scripted = self.answer(events)
        if scripted is not None:
            return scripted
        rejected = {
            at: WHY for at, event in enumerate(events) if id_of(event) in self.rejects
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
    outcome = Delivery(
        mixpanel,
        Mapper(AnonymousUsers.SKIP),
        lambda: next(seconds, 300.0),
        warm_state or WarmState(),
        breaker=breaker,
    ).run(records)
    assert outcome.accounts.closed, outcome.accounts
    per_event = sum(sum(counts.values()) for counts in outcome.by_event.values())
    assert per_event == outcome.accounts.received
    return outcome


def rejected_records(number: int) -> tuple[list[StreamRecord], set[str]]:
    """Records of ten events, and the ids of the first three of each."""
    made = source()
    batches = [[made.event() for _ in range(10)] for _ in range(number)]
    ids = {event["id"] for events in batches for event in events[:3]}
    return [record(at, *events) for at, events in enumerate(batches)], ids


def failing_on(event_id: str | None) -> Callable[..., Any]:
    real = Mapper.transform

    def transform(mapper: Mapper, event: Any, *rest: Any) -> Any:
        if event_id in {None, event["id"]}:
            raise RuntimeError("canary: may quote the event")
        return real(mapper, event, *rest)

    return transform
