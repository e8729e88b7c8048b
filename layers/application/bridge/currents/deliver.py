"""Deliver a batch of stream records to Mixpanel, in order, and account for each event.

Order matters because the stream takes back a position, not a set: what is delivered
after the first failure would only be delivered again.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import orjson

from bridge.chunking import halves
from bridge.currents.decode import Decoded, decode
from bridge.currents.transform import Earlier, Filtered, Mapper
from bridge.errors import MalformedInput, RetryableError, TooLarge
from bridge.mixpanel.imports import (
    BYTES_PER_CALL,
    EVENTS_PER_CALL,
    Failure,
    ImportReply,
    Outgoing,
)
from bridge.outcomes import Accounts
from bridge.quarantine import QuarantinedItem

MARGIN_SECONDS = 15.0
"""No chunk but the first begins with less time than this."""

BREAKER_EVENTS = 50
BREAKER_SHARE = 0.2
"""Mixpanel refusing a fifth of so many events is a fault of its or ours, not theirs."""

UNKNOWN_TYPE = "?"


class Importer(Protocol):
    """The part of `MixpanelClient` that is needed here."""

    def import_events(self, events: Sequence[Outgoing]) -> ImportReply:
        """See `MixpanelClient.import_events`."""


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """One record: its position, its arrival in epoch seconds, and its bytes."""

    position: str
    arrived: float
    data: bytes


@dataclass(frozen=True, slots=True)
class _Pending:
    record: int
    position: str
    type: str
    raw: bytes
    outgoing: Outgoing


@dataclass(slots=True)
class Delivered:
    """What became of a batch.

    `retry_from` is the number of the first record with events that are not settled;
    None if there is none. `quarantine` is by record; `drift` are names that the catalog
    does not know.
    """

    accounts: Accounts = field(default_factory=Accounts)
    by_event: dict[str, Counter[str]] = field(
        default_factory=lambda: defaultdict(Counter)
    )
    quarantine: dict[int, list[QuarantinedItem]] = field(
        default_factory=lambda: defaultdict(list)
    )
    drift: Counter[str] = field(default_factory=Counter)
    retry_from: int | None = None
    error: RetryableError | None = None


class Delivery:
    """One batch on its way; `time_left` gives seconds."""

    def __init__(
        self,
        importer: Importer,
        mapper: Mapper,
        time_left: Callable[[], float],
    ) -> None:
        self._importer = importer
        self._mapper = mapper
        self._earlier: Earlier = {}
        self._time_left = time_left
        self._done = Delivered()
        self._chunk: list[_Pending] = []
        self._bytes = 0
        self._sent_any = False

    def run(self, records: Iterable[StreamRecord]) -> Delivered:
        """Deliver until the end, or until the first chunk that has to wait.

        Raises nothing: what has to wait is told by `retry_from` and `error`.
        """
        try:
            for number, record in enumerate(records):
                self._earlier = {}
                for index, decoded in enumerate(decode(record.data)):
                    self._take(number, index, record, decoded)
            self._flush()
        except RetryableError as error:
            self._give_back(error)
        self._count_quarantined()
        return self._done

    def _take(
        self, number: int, index: int, record: StreamRecord, decoded: Decoded
    ) -> None:
        """Filter, quarantine, or add to the chunk."""
        position = f"{record.position}/{index}"
        self._done.accounts.received += 1
        event_type = _type_of(decoded)
        try:
            if decoded.problem:
                raise decoded.problem
            result = self._mapper.transform(
                decoded.event, decoded.raw, record.arrived, self._earlier
            )
            if isinstance(result, Filtered):
                self._done.accounts.filtered[result.rule] += 1
                self._done.by_event[event_type]["filtered"] += 1
                return
            line = _dump(result.event)
        except MalformedInput as error:
            failure = Failure(error.field, str(error))
            self._put_aside(
                number, event_type, decoded.raw, position, error.reason, failure
            )
            return
        self._done.drift.update(result.drift)
        outgoing = Outgoing(line, result.event["properties"]["$insert_id"])
        if self._bytes + len(line) > BYTES_PER_CALL:
            self._flush()
        self._chunk.append(
            _Pending(number, position, event_type, decoded.raw, outgoing)
        )
        self._bytes += len(line) + 1
        if len(self._chunk) == EVENTS_PER_CALL:
            self._flush()

    def _flush(self) -> None:
        """Send the chunk; it stays if that raises."""
        if not self._chunk:
            return
        if self._sent_any and self._time_left() < MARGIN_SECONDS:
            raise RetryableError("out_of_time", "the rest follows in the next run")
        refused = self._send([pending.outgoing for pending in self._chunk])
        if len(self._chunk) >= BREAKER_EVENTS and len(refused) > BREAKER_SHARE * len(
            self._chunk
        ):
            raise RetryableError(
                "mass_rejection",
                f"Mixpanel refuses {len(refused)} of {len(self._chunk)} events",
            )
        self._sent_any = True
        for at, pending in enumerate(self._chunk):
            if at in refused:
                self._put_aside(
                    pending.record,
                    pending.type,
                    pending.raw,
                    pending.position,
                    "refused",
                    refused[at],
                )
            else:
                self._done.accounts.delivered += 1
                self._done.by_event[pending.type]["delivered"] += 1
        self._chunk, self._bytes = [], 0

    def _send(self, events: Sequence[Outgoing]) -> dict[int, Failure]:
        """Refused events by index; halves where Mixpanel does not say which."""
        try:
            reply = self._importer.import_events(events)
        except TooLarge:
            if len(events) == 1:
                return {0: Failure("", "the event is too large for Mixpanel")}
            return self._send_halves(events)
        if not reply.vague:
            return dict(reply.refused)
        if len(events) == 1:
            return dict(reply.refused) or {0: Failure("", "Mixpanel gave no reason")}
        return self._send_halves(events)

    def _send_halves(self, events: Sequence[Outgoing]) -> dict[int, Failure]:
        first, second = halves(events)
        refused = self._send(first)
        for index, failure in self._send(second).items():
            refused[len(first) + index] = failure
        return refused

    def _put_aside(
        self,
        record: int,
        event_type: str,
        raw: bytes,
        position: str,
        reason: str,
        failure: Failure,
    ) -> None:
        item = QuarantinedItem(
            original=raw,
            reason=reason,
            field=failure.field,
            message=failure.message,
            position=position,
            kind=event_type,
            mapping=self._mapper.version,
        )
        self._done.quarantine[record].append(item)

    def _give_back(self, error: RetryableError) -> None:
        """What is not settled comes again with its record; it is not put aside now."""
        done = self._done
        done.error = error
        done.retry_from = self._chunk[0].record
        for pending in self._chunk:
            self._count_retried(pending.type)
        for record in [each for each in done.quarantine if each >= done.retry_from]:
            for item in done.quarantine.pop(record):
                self._count_retried(item.kind)

    def _count_retried(self, event_type: str) -> None:
        self._done.accounts.retried += 1
        self._done.by_event[event_type]["retried"] += 1

    def _count_quarantined(self) -> None:
        for items in self._done.quarantine.values():
            for item in items:
                self._done.accounts.quarantined[item.reason] += 1
                self._done.by_event[item.kind]["quarantined"] += 1


def _dump(event: object) -> bytes:
    try:
        return orjson.dumps(event)
    except orjson.JSONEncodeError:
        raise MalformedInput("not_text", "a value is no valid text") from None


def _type_of(decoded: Decoded) -> str:
    event = decoded.event
    found = event.get("event_type") if isinstance(event, dict) else None
    return found if isinstance(found, str) and found else UNKNOWN_TYPE
