"""Deliver a batch of stream records to Mixpanel, in order, and account for each event.

Order matters because the stream takes back a position, not a set: what is delivered
after the first failure would only be delivered again.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from bridge.currents.decode import Decoded, read
from bridge.currents.delivered import Delivered, counted_type
from bridge.currents.memory import InPart, Memory
from bridge.currents.prepare import FAULT, events_of, key_of, prepare
from bridge.currents.transform import Earlier, Filtered, Mapper, Sent
from bridge.errors import MalformedInput, RetryableError, TooLarge
from bridge.mixpanel.imports import EVENTS_PER_CALL, Failure, ImportReply, Outgoing
from bridge.observability import plain_name
from bridge.quarantine import Key, QuarantinedItem

MARGIN_SECONDS = 15.0
"""Once something is settled, no call begins with less time than this."""

REFUSED = "refused"
"""The reason that stands for Mixpanel's judgement."""


class Importer(Protocol):
    """The part of `MixpanelClient` that is needed here."""

    def import_events(self, events: Sequence[Outgoing]) -> ImportReply:
        """See `MixpanelClient.import_events`."""


class MassRejection(RetryableError):
    """More is refused than can be the events' own fault: a person has to look."""


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """One record: its position, its arrival in epoch seconds, and its bytes."""

    position: str
    arrived: float
    data: bytes


@dataclass(frozen=True, slots=True)
class _Pending:
    record: int
    index: int
    type: str
    raw: bytes
    outgoing: Outgoing


class Delivery:
    """One batch on its way; `time_left` gives seconds, `memory` outlives the batch.

    With `breaker` a mass rejection stops the batch instead of being set aside.
    """

    def __init__(
        self,
        importer: Importer,
        mapper: Mapper,
        time_left: Callable[[], float],
        memory: Memory,
        *,
        breaker: bool = True,
    ) -> None:
        self._importer = importer
        self._mapper = mapper
        self._earlier: Earlier = {}
        self._time_left = time_left
        self._memory = memory
        self._breaker = breaker
        self._records: list[StreamRecord] = []
        self._done = Delivered()
        self._chunk: list[_Pending] = []
        self._bytes = 0
        self._moved = False
        # By number of the record: events that were judged, and those found wanting.
        self._judged: Counter[int] = Counter()
        self._spoilt: Counter[int] = Counter()

    def run(self, records: Iterable[StreamRecord]) -> Delivered:
        """Deliver until the end, or until the first chunk that has to wait.

        Raises nothing: what has to wait is told by `retry_from` and `error`.
        """
        try:
            for number, record in enumerate(records):
                self._records.append(record)
                self._earlier = {}
                part = self._resume(number, record)
                for index, decoded in enumerate(events_of(record.data)):
                    if index >= part.settled:
                        self._take(number, index, record, decoded)
                        self._done.accounts.received += 1
                    else:
                        self._pass(record, decoded)
            self._flush()
            self._watch(self._judged)
        except MassRejection as error:
            # What was refused is not set aside, nor what this batch sent before it.
            first = min(self._spoilt)
            self._done.give_back(first, error, [each.type for each in self._chunk])
        except RetryableError as error:
            self._give_back(error)
        return self._done

    def _resume(self, number: int, record: StreamRecord) -> InPart:
        part = self._memory.resume(record.position)
        for item in part.aside:
            self._done.accounts.received += 1
            self._done.set_aside(number, item)
        return part

    def _prepare(
        self, record: StreamRecord, decoded: Decoded
    ) -> tuple[bytes, Sent] | Filtered:
        return prepare(decoded, record.arrived, self._mapper, self._earlier)

    def _pass(self, record: StreamRecord, decoded: Decoded) -> None:
        """Settled before; but one that shares an id with it has to know of it."""
        with suppress(MalformedInput):
            self._prepare(record, decoded)

    def _take(
        self, number: int, index: int, record: StreamRecord, decoded: Decoded
    ) -> None:
        """Leave out, set aside, or add to the chunk; raises as `_flush`."""
        try:
            prepared = self._prepare(record, decoded)
        except MalformedInput as error:
            if error.reason == FAULT:
                self._judged[number] += 1
                self._spoilt[number] += 1
            failure = Failure(error.field, str(error))
            self._set_aside(number, index, decoded, error.reason, failure)
            return
        event_type = counted_type(decoded.event.get("event_type"))
        if isinstance(prepared, Filtered):
            self._done.leave_out(event_type, prepared.rule)
            return
        line, result = prepared
        if result.drift:
            self._done.drift.update(result.drift)
        full = len(self._chunk) == EVENTS_PER_CALL
        if full or self._bytes + len(line) > self._memory.call_bytes:
            self._flush()
        outgoing = Outgoing(line, result.event["properties"]["$insert_id"])
        self._chunk.append(_Pending(number, index, event_type, decoded.raw, outgoing))
        self._bytes += len(line) + 1

    def _flush(self) -> None:
        """Send the chunk, in parts where it must be; what is settled leaves it."""
        sizes = [len(self._chunk)] if self._chunk else []
        while sizes:
            # Until something moved it is tried, or nothing ever would.
            if self._moved and self._time_left() < MARGIN_SECONDS:
                raise RetryableError("out_of_time", "the rest follows in the next run")
            size = sizes.pop()
            refused = self._send(self._chunk[:size])
            if refused is None:
                sizes += [size - size // 2, size // 2]
            else:
                self._settle(size, refused)
        self._bytes = 0

    def _send(
        self, part: Sequence[_Pending], *, again: bool = False
    ) -> Mapping[int, Failure] | None:
        """Refused events by index; None where smaller parts have to tell."""
        alone = len(part) == 1
        events = [each.outgoing for each in part]
        try:
            reply = self._importer.import_events(events)
        except TooLarge:
            self._memory.too_large(sum(len(each.line) for each in events))
            if not alone:
                return None
            # No event of that size should get a 413: it may have been a mishap.
            too_large = Failure("", "the event is too large for Mixpanel")
            return {0: too_large} if again else self._send(part, again=True)
        if not reply.vague:
            return reply.refused
        # A single event is judged by the status: no list has to name it.
        told = Failure("", reply.told or "Mixpanel did not take it and gave no reason")
        return {0: reply.refused.get(0, told)} if alone else None

    def _settle(self, size: int, refused: Mapping[int, Failure]) -> None:
        """The first `size` events of the chunk are done."""
        part = self._chunk[:size]
        del self._chunk[:size]
        for at, failure in refused.items():
            each = part[at]
            self._spoilt[each.record] += 1
            key = key_of(each.outgoing.line)
            event = read(each.raw)
            self._set_aside(each.record, each.index, event, REFUSED, failure, key)
        self._done.deliver(
            Counter(each.type for at, each in enumerate(part) if at not in refused)
        )
        records = Counter(each.record for each in part)
        self._judged.update(records)
        self._moved = True
        self._watch(records)

    def _watch(self, records: Iterable[int]) -> None:
        """Tell the breaker of these records; raises `MassRejection` if it opens."""
        breaker = self._memory.breaker
        for number in records:
            breaker.note(
                self._records[number].position,
                self._judged[number],
                self._spoilt[number],
            )
        if self._breaker and self._spoilt and breaker.open:
            fields = Counter(
                plain_name(item.field)
                for items in self._done.quarantine.values()
                for item in items
            )
            ((most, _),) = fields.most_common(1)
            raise MassRejection(
                "mass_rejection",
                f"events of {breaker.spoilt} records are refused, most for {most}",
            )

    def _set_aside(
        self,
        number: int,
        index: int,
        decoded: Decoded,
        reason: str,
        failure: Failure,
        key: Key | None = None,
    ) -> None:
        record = self._records[number]
        event = decoded.event
        kind = event.get("event_type") if isinstance(event, dict) else None
        item = QuarantinedItem(
            original=decoded.raw,
            reason=reason,
            field=failure.field,
            message=failure.message,
            position=f"{record.position}/{index}",
            kind=kind if isinstance(kind, str) else "",
            mapping=self._mapper.version,
            arrived=record.arrived,
            key=key,
        )
        self._done.set_aside(number, item)

    def _give_back(self, error: RetryableError) -> None:
        """From the first event that is not settled; what lies before it is kept."""
        first = self._chunk[0]
        record = self._records[first.record]
        aside = [
            item
            for item in self._done.quarantine.get(first.record, ())
            if int(item.position.rpartition("/")[2]) < first.index
        ]
        if first.index:
            self._memory.keep(record.position, InPart(first.index, aside))
        self._done.give_back(first.record, error, [each.type for each in self._chunk])
