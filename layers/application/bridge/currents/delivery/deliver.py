"""Deliver a batch of stream records to Mixpanel, in order, accounting for each event.

Order matters because a batch is answered with one position: whatever is delivered
behind the first failure is delivered a second time.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress

from bridge.currents.decode.record import Decoded, is_envelope, parse
from bridge.currents.delivery.batch import Batch, StreamRecord
from bridge.currents.delivery.mass_rejection import BreakerOpen
from bridge.currents.delivery.outcome import Outcome
from bridge.currents.delivery.prepare import FAULT, events_of, prepare
from bridge.currents.delivery.send import (
    SECONDS_FOR_A_CALL,
    ImportClient,
    Sender,
)
from bridge.currents.delivery.warm_state import PartialRecord, WarmState
from bridge.currents.mapping.catalog import counted_type
from bridge.currents.mapping.fast_path import fast_path
from bridge.currents.mapping.result import Filtered
from bridge.currents.mapping.shared_ids import Earlier
from bridge.currents.mapping.transform import Mapper
from bridge.errors import MalformedInput, RetryableError
from bridge.mixpanel.import_api import Failure
from bridge.reasons import Reason

RECORDS_PER_TIME_CHECK = 50
"""The clock is read once in so many records."""


class OutOfTime(RetryableError):
    """Everything before `record` is finished; that record and the rest is deferred."""

    def __init__(self, record: int) -> None:
        super().__init__(Reason.OUT_OF_TIME, "the rest follows in the next run")
        self.record = record


class Delivery:
    """One batch on its way to Mixpanel.

    `time_left` gives seconds. `warm_state` outlives the batch. With `breaker` a mass
    rejection stops the batch instead of being quarantined.
    """

    def __init__(
        self,
        client: ImportClient,
        mapper: Mapper,
        time_left: Callable[[], float],
        warm_state: WarmState,
        *,
        breaker: bool = True,
    ) -> None:
        self._mapper = mapper
        self._time_left = time_left
        self._warm_state = warm_state
        self._batch = Batch(mapper.version)
        self._outcome = self._batch.outcome
        self._sender = Sender(
            client, self._batch, mapper, time_left, warm_state, breaker=breaker
        )

    def run(self, records: Iterable[StreamRecord]) -> Outcome:
        """Deliver until the end, or until the first event that has to be deferred.

        Raises nothing: `defer_from` and `error` of the outcome say what is deferred.
        """
        try:
            self._take_all(records)
            self._sender.flush()
            self._sender.check_breaker()
        except BreakerOpen as error:
            # No rejection is quarantined, neither the last nor any before it.
            first = self._sender.first_rejected
            self._outcome.defer(first, error, self._sender.pending_types)
            self._outcome.samples = error.samples
        except OutOfTime as error:
            self._outcome.defer(error.record, error)
        except RetryableError as error:
            self._defer(error)
        if self._mapper.long_names:
            self._outcome.long_names = frozenset(self._mapper.long_names)
        return self._outcome

    def _take_all(self, records: Iterable[StreamRecord]) -> None:
        """Take every event, most of them by the fast path; raises as `Sender.flush`."""
        batch, outcome, mapper = self._batch, self._outcome, self._mapper
        warm_state, accounts, add = self._warm_state, outcome.accounts, self._sender.add
        taken = batch.records
        for number, record in enumerate(records):
            if number % RECORDS_PER_TIME_CHECK == RECORDS_PER_TIME_CHECK - 1:
                self._check_time(number)
            taken.append(record)
            finished = self._resume(number, record) if warm_state.partial else 0
            events = parse(record.data)
            if events is None:
                self._take_decoded(number, finished, {})
                continue
            arrived = record.arrived
            earlier: Earlier | None = None if len(events) == 1 else {}
            for index, event in enumerate(events):
                try:
                    mapped = fast_path(event, arrived, mapper, earlier)
                except Exception:  # noqa: BLE001 - `prepare` meets it too, and says why
                    mapped = None
                if mapped is None:
                    if is_envelope(event):
                        # Its events count one by one, so all further indices shift.
                        self._take_decoded(number, max(index, finished), earlier or {})
                        break
                    decoded = Decoded(batch.original(number, index), event)
                    shared = {} if earlier is None else earlier
                    self._take(number, index, decoded, shared, is_new=index >= finished)
                elif index >= finished:
                    if isinstance(mapped, Filtered):
                        event_type = counted_type(event["event_type"])
                        outcome.filter_out(event_type, mapped.rule)
                    else:
                        line, counted = mapped
                        add(line, counted, number, index)
                    accounts.received += 1

    def _check_time(self, number: int) -> None:
        """Raise `OutOfTime` at this record if there is no time for another call.

        Events that are filtered or quarantined take time too, without any call.
        """
        if self._time_left() < SECONDS_FOR_A_CALL:
            self._sender.flush()
            raise OutOfTime(number)

    def _resume(self, number: int, record: StreamRecord) -> int:
        """How many of the record's events an earlier batch has finished."""
        partial = self._warm_state.resume(record.position)
        for item in partial.quarantined:
            if item.reason == Reason.RESHAPED:
                self._outcome.keep_original(number, item)
                continue
            self._outcome.accounts.received += 1
            self._outcome.quarantine(number, item)
        return partial.finished

    def _take_decoded(self, number: int, finished: int, earlier: Earlier) -> None:
        """Take a record that is not sound JSON, or too large to be parsed at once."""
        for index, decoded in enumerate(events_of(self._batch.records[number].data)):
            is_new = index >= finished
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
        """Filter, quarantine or add one event; raises as `Sender.flush`.

        An event that an earlier batch has finished only joins `earlier`, for those
        that share its id.
        """
        arrived = self._batch.records[number].arrived
        if not is_new:
            with suppress(MalformedInput):
                prepare(decoded, arrived, self._mapper, earlier)
            return
        try:
            prepared = prepare(decoded, arrived, self._mapper, earlier)
        except MalformedInput as error:
            if error.reason == FAULT:
                event = decoded.event
                kind = event.get("event_type") if isinstance(event, dict) else None
                self._sender.count_fault(number, counted_type(kind))
            failure = Failure(error.field, str(error))
            self._batch.quarantine(number, index, decoded, error.reason, failure)
        else:
            event_type = counted_type(decoded.event.get("event_type"))
            if isinstance(prepared, Filtered):
                self._outcome.filter_out(event_type, prepared.rule)
            else:
                line, sent = prepared
                self._outcome.drift.update(sent.drift)
                self._sender.add(line, event_type, number, index)
        self._outcome.accounts.received += 1

    def _defer(self, error: RetryableError) -> None:
        """Defer from the first pending event, and remember how far its record got."""
        _, _, number, index = self._sender.pending[0]
        if index:
            quarantined = [
                item
                for item in self._outcome.quarantined.get(number, ())
                if int(item.position.rpartition("/")[2]) < index
            ]
            position = self._batch.records[number].position
            self._warm_state.suspend(position, PartialRecord(index, quarantined))
        self._outcome.defer(number, error, self._sender.pending_types)
