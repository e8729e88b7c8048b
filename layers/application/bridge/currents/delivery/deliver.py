"""Deliver a batch of stream records to Mixpanel, in order, and account for each event.

Order matters because the stream takes back a position, not a set: what is delivered
after the first failure would only be delivered again.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple, Protocol

from bridge.currents.decode.record import Decoded, parse, read
from bridge.currents.delivery.circuit_breaker import WINDOW_RECORDS
from bridge.currents.delivery.outcome import Outcome
from bridge.currents.delivery.prepare import FAULT, events_of, key_of, prepare
from bridge.currents.delivery.warm_state import Unfinished, WarmState
from bridge.currents.mapping.catalog import counted_type
from bridge.currents.mapping.fast_path import fast_path
from bridge.currents.mapping.transform import Earlier, Filtered, Mapper
from bridge.errors import MalformedInput, RetryableError, TooLarge
from bridge.mixpanel.import_api import EVENTS_PER_CALL, Failure, ImportReply
from bridge.observability import plain_name
from bridge.quarantine import Key, QuarantinedItem

MARGIN_SECONDS = 15.0
"""Once something is settled, no call begins with less time than this."""

RECORDS_PER_LOOK = 50
"""The clock is looked at once in so many records."""

REJECTED = "rejected"
"""The reason that stands for Mixpanel's judgement."""


class Importer(Protocol):
    """The part of `MixpanelClient` that is needed here."""

    def import_events(self, lines: Sequence[bytes]) -> ImportReply:
        """See `MixpanelClient.import_events`."""


class OutOfTime(RetryableError):
    """Nothing was sent that has to wait, but `record` and what follows it has to."""

    def __init__(self, record: int) -> None:
        super().__init__("out_of_time", "the rest follows in the next run")
        self.record = record


class MassRejection(RetryableError):
    """More is refused than can be the events' own fault: a person has to look."""


class StreamRecord(NamedTuple):
    """One record: its position, its arrival in epoch seconds, and its bytes."""

    position: str
    arrived: float
    data: bytes


type _Pending = tuple[bytes, str, int, int]
"""A line, the name its type is counted under, the record's number, the index there."""


class Delivery:
    """One batch on its way; `time_left` gives seconds, `memory` outlives the batch.

    With `breaker` a mass rejection stops the batch instead of being set aside.
    """

    def __init__(
        self,
        importer: Importer,
        mapper: Mapper,
        time_left: Callable[[], float],
        warm_state: WarmState,
        *,
        breaker: bool = True,
    ) -> None:
        self._importer = importer
        self._mapper = mapper
        self._time_left = time_left
        self._warm_state = warm_state
        self._breaker = breaker
        self._records: list[StreamRecord] = []
        self._done = Outcome()
        self._chunk: list[_Pending] = []
        self._bytes = 0
        self._moved = False
        # By number of the record: events that were judged, and those found wanting.
        self._judged: Counter[int] = Counter()
        self._rejected: Counter[int] = Counter()
        self._originals: tuple[int, list[bytes]] = (-1, [])

    def run(self, records: Iterable[StreamRecord]) -> Outcome:
        """Deliver until the end, or until the first chunk that has to wait.

        Raises nothing: what has to wait is told by `retry_from` and `error`.
        """
        try:
            self._take_all(records)
            self._flush()
            if self._rejected:
                self._watch(self._judged)
        except MassRejection as error:
            # What was refused is not set aside, nor what this batch sent before it.
            first = min(self._rejected)
            self._done.defer(first, error, [each[1] for each in self._chunk])
        except OutOfTime as error:
            self._done.defer(error.record, error)
        except RetryableError as error:
            self._defer(error)
        return self._done

    def _need_time(self, number: int) -> None:
        """What is left out or set aside takes time as well, without a call.

        Raises `RetryableError` from the record on with which time runs short.
        """
        if self._time_left() < MARGIN_SECONDS:
            self._flush()
            raise OutOfTime(number)

    def _resume(self, number: int, record: StreamRecord) -> int:
        """How many of the record's events are settled."""
        part = self._warm_state.resume(record.position)
        for item in part.quarantined:
            self._done.accounts.received += 1
            self._done.quarantine(number, item)
        return part.settled

    def _take_all(self, records: Iterable[StreamRecord]) -> None:
        """Take the events, most of them without a detour."""
        warm_state, mapper, accounts = (
            self._warm_state,
            self._mapper,
            self._done.accounts,
        )
        for number, record in enumerate(records):
            if number % RECORDS_PER_LOOK == RECORDS_PER_LOOK - 1:
                self._need_time(number)
            self._records.append(record)
            settled = self._resume(number, record) if warm_state.unfinished else 0
            events = parse(record.data)
            if events is None:
                self._take_decoded(number, settled)
                continue
            arrived = record.arrived
            earlier: Earlier | None = None if len(events) == 1 else {}
            for index, event in enumerate(events):
                try:
                    made = fast_path(event, arrived, mapper, earlier)
                except Exception:  # noqa: BLE001 - found out below, by `prepare`
                    made = None
                if made is None:
                    decoded = Decoded(self._original(number, index), event)
                    shared = {} if earlier is None else earlier
                    self._take(number, index, decoded, shared, is_new=index >= settled)
                elif index >= settled:
                    if isinstance(made, Filtered):
                        kind = counted_type(event["event_type"])
                        self._done.filter_out(kind, made.rule)
                    else:
                        self._add(*made, number, index)
                    accounts.received += 1

    def _take_decoded(self, number: int, settled: int) -> None:
        """Take what is no sound JSON, or more than is parsed at once."""
        earlier: Earlier = {}
        for index, decoded in enumerate(events_of(self._records[number].data)):
            is_new = index >= settled
            self._take(number, index, decoded, earlier, is_new=is_new)

    def _take(
        self,
        number: int,
        index: int,
        decoded: Decoded,
        earlier: Earlier,
        *,
        is_new: bool,
    ) -> None:
        """Leave out, set aside, or add to the chunk; raises as `_flush`.

        One that is not new is settled, but those that share an id with it have to know
        of it.
        """
        arrived = self._records[number].arrived
        if not is_new:
            with suppress(MalformedInput):
                prepare(decoded, arrived, self._mapper, earlier)
            return
        try:
            prepared = prepare(decoded, arrived, self._mapper, earlier)
        except MalformedInput as error:
            if error.reason == FAULT:
                self._judged[number] += 1
                self._rejected[number] += 1
            failure = Failure(error.field, str(error))
            self._quarantine(number, index, decoded, error.reason, failure)
        else:
            event_type = counted_type(decoded.event.get("event_type"))
            if isinstance(prepared, Filtered):
                self._done.filter_out(event_type, prepared.rule)
            else:
                line, result = prepared
                self._done.drift.update(result.drift)
                self._add(line, event_type, number, index)
        self._done.accounts.received += 1

    def _add(self, line: bytes, event_type: str, number: int, index: int) -> None:
        """Add to the chunk, which is sent first if there is no more room."""
        size = self._bytes + len(line)
        if size > self._warm_state.call_bytes or len(self._chunk) == EVENTS_PER_CALL:
            self._flush()
        self._chunk.append((line, event_type, number, index))
        self._bytes += len(line) + 1

    def _original(self, number: int, index: int) -> bytes:
        """The bytes of one event, which are looked for only where they are needed."""
        if self._originals[0] != number:
            found = events_of(self._records[number].data)
            self._originals = number, [each.raw for each in found]
        return self._originals[1][index]

    def _flush(self) -> None:
        """Send the chunk, in parts where it must be; what is settled leaves it."""
        sizes = [len(self._chunk)] if self._chunk else []
        while sizes:
            # Until something moved it is tried, or nothing ever would.
            if self._moved and self._time_left() < MARGIN_SECONDS:
                raise RetryableError("out_of_time", "the rest follows in the next run")
            size = sizes.pop()
            rejected = self._send(self._chunk[:size])
            if rejected is None:
                sizes += [size - size // 2, size // 2]
            else:
                self._settle(size, rejected)
        self._bytes = 0

    def _send(
        self, part: Sequence[_Pending], *, again: bool = False
    ) -> Mapping[int, Failure] | None:
        """Refused events by index; None where smaller parts have to tell."""
        alone = len(part) == 1
        lines = [each[0] for each in part]
        try:
            reply = self._importer.import_events(lines)
        except TooLarge:
            self._warm_state.too_large(sum(map(len, lines)))
            if not alone:
                return None
            # No event of that size should get a 413: it may have been a mishap.
            too_large = Failure("", "the event is too large for Mixpanel")
            return {0: too_large} if again else self._send(part, again=True)
        if not reply.vague:
            return reply.rejected
        # A single event is judged by the status: no list has to name it.
        told = Failure("", reply.told or "Mixpanel did not take it and gave no reason")
        return {0: reply.rejected.get(0, told)} if alone else None

    def _settle(self, size: int, rejected: Mapping[int, Failure]) -> None:
        """The first `size` events of the chunk are done."""
        part = self._chunk[:size]
        del self._chunk[:size]
        for at, failure in rejected.items():
            line, _, number, index = part[at]
            self._rejected[number] += 1
            event = read(self._original(number, index))
            self._quarantine(number, index, event, REJECTED, failure, key_of(line))
        self._done.deliver(
            Counter([each[1] for at, each in enumerate(part) if at not in rejected])
        )
        records = [each[2] for each in part]
        self._judged.update(records)
        self._moved = True
        self._watch(dict.fromkeys(records))

    def _watch(self, records: Iterable[int]) -> None:
        """Tell the breaker of these records; raises `MassRejection` if it opens."""
        breaker = self._warm_state.breaker
        # Of those before these it would forget each again.
        for number in [*records][-WINDOW_RECORDS:]:
            breaker.note(
                self._records[number].position,
                self._judged[number],
                self._rejected[number],
            )
        if self._breaker and self._rejected and breaker.open:
            fields = Counter(
                plain_name(item.field)
                for items in self._done.quarantined.values()
                for item in items
            )
            ((most, _),) = fields.most_common(1)
            raise MassRejection(
                "mass_rejection",
                f"events of {breaker.rejected} records are refused, most for {most}",
            )

    def _quarantine(
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
        self._done.quarantine(number, item)

    def _defer(self, error: RetryableError) -> None:
        """From the first event that is not settled; what lies before it is kept."""
        _, _, number, index = self._chunk[0]
        record = self._records[number]
        quarantined = [
            item
            for item in self._done.quarantined.get(number, ())
            if int(item.position.rpartition("/")[2]) < index
        ]
        if index:
            self._warm_state.keep(record.position, Unfinished(index, quarantined))
        self._done.defer(number, error, [each[1] for each in self._chunk])
