"""The records of one batch, and what has become of their events."""

from typing import NamedTuple

from bridge.currents.decode.record import Decoded
from bridge.currents.delivery.outcome import Outcome
from bridge.currents.delivery.prepare import events_of
from bridge.mixpanel.import_api import Failure
from bridge.quarantine import Key, QuarantinedItem
from bridge.reasons import Reason


class StreamRecord(NamedTuple):
    """One record: its position, its arrival in epoch seconds, and its bytes."""

    position: str
    arrived: float
    data: bytes


class Batch:
    """Records by number, as they are taken, and their outcome.

    `mapping` is the version of the mapping, which a quarantined item states.
    """

    def __init__(self, mapping: str) -> None:
        self.records: list[StreamRecord] = []
        self.outcome = Outcome()
        self._mapping = mapping
        self._original_record = -1
        self._originals: list[bytes] = []

    def original(self, number: int, index: int) -> bytes:
        """The bytes of one event; located only on demand, a record at a time."""
        if self._original_record != number:
            events = events_of(self.records[number].data)
            self._originals = [each.raw for each in events]
            self._original_record = number
        return self._originals[index]

    def quarantine(
        self,
        number: int,
        index: int,
        decoded: Decoded,
        reason: str,
        failure: Failure,
        key: Key | None = None,
    ) -> None:
        """Quarantine one event; `key` is what Mixpanel de-duplicates it by, if any.

        For the reason `reshaped` the event itself has been delivered.
        """
        record = self.records[number]
        event = decoded.event
        kind = event.get("event_type") if isinstance(event, dict) else None
        item = QuarantinedItem(
            original=decoded.raw,
            reason=reason,
            field=failure.field,
            message=failure.message,
            position=f"{record.position}/{index}",
            kind=kind if isinstance(kind, str) else "",
            mapping=self._mapping,
            arrived=record.arrived,
            key=key,
        )
        if reason == Reason.RESHAPED:
            self.outcome.keep_original(number, item)
        else:
            self.outcome.quarantine(number, item)
