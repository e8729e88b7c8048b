"""Send mapped events to Mixpanel in calls of up to 2,000, and act on each answer."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import orjson

from bridge.currents.decode.record import read
from bridge.currents.delivery.batch import Batch
from bridge.currents.delivery.circuit_breaker import WINDOW_RECORDS
from bridge.currents.delivery.mass_rejection import mass_rejection
from bridge.currents.delivery.prepare import FAULT, key_of
from bridge.currents.delivery.reshape import (
    Limit,
    passed_limits,
    reshaped_line,
    texts_of,
)
from bridge.currents.delivery.warm_state import WarmState
from bridge.currents.mapping.transform import Mapper
from bridge.errors import RetryableError, TooLarge
from bridge.mixpanel.import_api import (
    BYTES_PER_CALL,
    EVENTS_PER_CALL,
    Failure,
    ImportReply,
)
from bridge.reasons import Reason

SECONDS_FOR_A_CALL = 15.0
"""Once a call has succeeded, no other begins with less time than this."""

REJECTED = Reason.REJECTED
"""The reason of an event that Mixpanel rejects."""


_NONE: Mapping[str, int] = {}


class ImportClient(Protocol):
    """The part of `MixpanelClient` that delivery needs."""

    def import_events(self, lines: Sequence[bytes]) -> ImportReply:
        """See `MixpanelClient.import_events`."""


type Pending = tuple[bytes, str, int, int]
"""An event to send: its line, its counted type, its record's number, its index there.

A plain tuple, always unpacked: a NamedTuple took 2 to 4 % more instructions an event.
"""


class Sender:
    """The pending events of a batch, and the calls that send them.

    With `breaker` a mass rejection stops the batch instead of being quarantined.
    """

    def __init__(
        self,
        client: ImportClient,
        batch: Batch,
        mapper: Mapper,
        time_left: Callable[[], float],
        warm_state: WarmState,
        *,
        breaker: bool,
    ) -> None:
        self.pending: list[Pending] = []
        self._client = client
        self._batch = batch
        self._mapper = mapper
        self._time_left = time_left
        self._warm_state = warm_state
        self._breaker = breaker
        self._bytes = 0
        self._has_sent = False
        # By number of the record; a fault of ours counts as an attempt and a rejection.
        self._attempted: Counter[int] = Counter()
        self._rejected: dict[int, Counter[str]] = {}
        # By record and index: the limits for which an event is sent in another shape.
        self._reshaped: dict[tuple[int, int], frozenset[Limit]] = {}

    @property
    def pending_types(self) -> list[str]:
        """The types that the pending events are counted under."""
        return [event_type for _, event_type, _, _ in self.pending]

    @property
    def first_rejected(self) -> int:
        """The number of the first record with a rejected event."""
        return min(self._rejected)

    def add(self, line: bytes, event_type: str, record: int, index: int) -> None:
        """Add an event, after sending the pending ones if it no longer fits their call.

        Raises as `flush`, and the event is then not added.
        """
        pending, size = self.pending, self._bytes + len(line)
        if size > self._warm_state.call_bytes or len(pending) == EVENTS_PER_CALL:
            self.flush()
            size = self._bytes + len(line)
        pending.append((line, event_type, record, index))
        self._bytes = size + 1

    def count_fault(self, record: int, event_type: str) -> None:
        """Count an event that met a fault of ours for the circuit breaker."""
        self._attempted[record] += 1
        self._count_rejected(record, event_type)

    def flush(self) -> None:
        """Send the pending events, in parts where Mixpanel does not name the culprit.

        Raises `RetryableError` with the unfinished events still pending.
        """
        self._reshape_known()
        sizes = self._first_sizes()
        while sizes:
            # The first call is made however short the time, or no run would progress.
            if self._has_sent and self._time_left() < SECONDS_FOR_A_CALL:
                self._warm_state.next_call = sizes[-1] if len(sizes) > 1 else 0
                raise RetryableError(
                    Reason.OUT_OF_TIME, "the rest follows in the next run"
                )
            size = sizes.pop()
            rejected = self._send([line for line, _, _, _ in self.pending[:size]])
            if rejected is None:
                sizes += [size - size // 2, size // 2]
            else:
                sizes += self._finish(size, rejected)
        self._bytes = 0

    def _first_sizes(self) -> list[int]:
        """The sizes of the calls, the first call last."""
        size, begun = len(self.pending), self._warm_state.next_call
        self._warm_state.next_call = 0
        if 0 < begun < size:
            return [size - begun, begun]
        return [size] if size else []

    def check_breaker(self) -> None:
        """Note every attempted record; raises `BreakerOpen` if the breaker opens."""
        if self._rejected:
            self._note(self._attempted)

    def _send(
        self, lines: Sequence[bytes], *, is_repeated: bool = False
    ) -> Mapping[int, Failure] | None:
        """The rejected events by index; None if only halving can identify them."""
        is_single = len(lines) == 1
        try:
            reply = self._client.import_events(lines)
        except TooLarge:
            self._warm_state.too_large(sum(map(len, lines)))
            if not is_single:
                return None
            # No event is that large, so a 413 for one may be an accident: repeat it.
            too_large = Failure("", "the event is too large for Mixpanel")
            return (
                {0: too_large} if is_repeated else self._send(lines, is_repeated=True)
            )
        if not reply.vague:
            return reply.rejected
        # For a single event the status decides, whether or not a list names the event.
        whole = Failure(
            "", reply.error or "Mixpanel did not take it and gave no reason"
        )
        return {0: reply.rejected.get(0, whole)} if is_single else None

    def _finish(self, size: int, rejected: Mapping[int, Failure]) -> list[int]:
        """Account for the first `size` pending events, which Mixpanel has answered.

        A rejected event of which another shape may be taken is pending once more, first
        of all; returned are the sizes of the calls for these.
        """
        part = self.pending[:size]
        del self.pending[:size]
        reshaped: list[Pending] = []
        for at, failure in rejected.items():
            line, event_type, number, index = part[at]
            fitting = self._reshape(line, number, index)
            if fitting is not None:
                reshaped.append((fitting, event_type, number, index))
                continue
            self._count_rejected(number, event_type)
            self._quarantine(line, number, index, REJECTED, failure)
        self.pending[:0] = reshaped
        delivered = part
        if rejected:
            delivered = [each for at, each in enumerate(part) if at not in rejected]
        self._batch.outcome.deliver(Counter([each[1] for each in delivered]))
        if self._reshaped:
            self._keep_originals(delivered)
        records = [each[2] for each in part]
        self._attempted.update(records)
        if reshaped:
            # They are attempted once more, and that counts.
            self._attempted.subtract([each[2] for each in reshaped])
        self._has_sent = True
        self._note(dict.fromkeys(records))
        if not reshaped:
            return []
        if sum(len(line) for line, _, _, _ in reshaped) < BYTES_PER_CALL:
            return [len(reshaped)]
        return [len(reshaped) - len(reshaped) // 2, len(reshaped) // 2]

    def _count_rejected(self, record: int, event_type: str) -> None:
        self._rejected.setdefault(record, Counter())[event_type] += 1

    def _quarantine(
        self, line: bytes, number: int, index: int, reason: str, failure: Failure
    ) -> None:
        event = read(self._batch.original(number, index))
        self._batch.quarantine(number, index, event, reason, failure, key_of(line))

    def _reshape_known(self) -> None:
        """Reshape pending events that would be rejected, as far as is known by now."""
        known = self._warm_state.reshaped
        if not known:
            return
        for at, (line, event_type, number, index) in enumerate(self.pending):
            if event_type in known:
                fitting = self._reshape(line, number, index, known[event_type])
                if fitting is not None:
                    self.pending[at] = (fitting, event_type, number, index)

    def _reshape(
        self,
        line: bytes,
        number: int,
        index: int,
        limits: frozenset[Limit] = frozenset(Limit),
    ) -> bytes | None:
        """The event in another shape if it passes one of the limits, or else None.

        It is reshaped once: for what is rejected after that, its shape is not to blame.
        """
        if (number, index) in self._reshaped:
            return None
        event = orjson.loads(line)
        passed = passed_limits(event["properties"])
        if not passed & limits:
            return None
        original = read(self._batch.original(number, index)).event
        texts = texts_of(original, event["properties"], self._mapper.parsed_texts)
        fitting = reshaped_line(event, self._mapper.known_names, texts)
        if fitting is not None:
            self._reshaped[number, index] = passed
        return fitting

    def _keep_originals(self, delivered: Iterable[Pending]) -> None:
        """Keep each reshaped event as it came; its type is known from now on."""
        for line, event_type, number, index in delivered:
            limits = self._reshaped.get((number, index))
            if limits:
                self._warm_state.learn_reshaped(event_type, limits)
                passed = ", ".join(sorted(limits))
                why = Failure("", f"delivered in another shape, for its {passed}")
                self._quarantine(line, number, index, Reason.RESHAPED, why)

    def _note(self, records: Iterable[int]) -> None:
        """Note these records; raises `BreakerOpen` if the breaker opens."""
        breaker = self._warm_state.breaker
        # The breaker would forget any that precede the last ones again.
        for number in [*records][-WINDOW_RECORDS:]:
            breaker.note(
                self._batch.records[number].position,
                self._attempted[number],
                self._rejected.get(number, _NONE),
            )
        if self._breaker and self._rejected and breaker.open:
            outcome = self._batch.outcome
            rejected = [
                item
                for items in outcome.quarantined.values()
                for item in items
                if item.reason in {REJECTED, FAULT}
            ]
            delivered = Counter(
                {each: by["delivered"] for each, by in outcome.by_event.items()}
            )
            raise mass_rejection(rejected, delivered, breaker.rejected)
