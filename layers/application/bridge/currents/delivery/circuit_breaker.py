"""Stops a mass rejection before the whole stream ends in the quarantine (pure).

It counts records, not events: a poison record, however many events it holds, must never
block its shard, while a fault of Mixpanel's or ours affects one record after the other.
And where most rejected events are of one type, it counts once more without that type:
in a file of Currents all events have one type, and a type that Mixpanel rejects is no
outage. Decision 0027.
"""

from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

WINDOW_RECORDS = 50
"""The breaker looks at so many of the latest records."""

MAX_REJECTED_SHARE = 0.2
"""A record counts as rejected if more than this share of its events is; the breaker
opens if more than this share of the records is."""

MIN_REJECTED_RECORDS = 5
"""Fewer rejected records than this never open the breaker."""

_NONE: Mapping[str, int] = {}


class _Record(NamedTuple):
    """How many events of a record were attempted, and rejected by type."""

    attempted: int
    rejected: Mapping[str, int]

    @property
    def is_rejected(self) -> bool:
        """Whether too many of its events are rejected."""
        return sum(self.rejected.values()) > MAX_REJECTED_SHARE * self.attempted

    def without(self, event_type: str) -> "_Record":
        """The record without the rejected events of one type."""
        left_out = self.rejected.get(event_type, 0)
        rest = {each: n for each, n in self.rejected.items() if each != event_type}
        return _Record(self.attempted - left_out, rest)


_SOUND = _Record(1, {})


class CircuitBreaker:
    """The latest records of a process, across its invocations.

    A record that is delivered again replaces its former entry: retries of one record
    never open the breaker, and a batch that succeeds closes it.
    """

    def __init__(self) -> None:
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def note(
        self, position: str, attempted: int, rejected: Mapping[str, int] = _NONE
    ) -> None:
        """Note how many of the record's events were attempted so far.

        `rejected` says how many of these were rejected, by event type.
        """
        self._records.pop(position, None)
        record = _Record(attempted, rejected) if rejected else _SOUND
        self._records[position] = record
        if len(self._records) > WINDOW_RECORDS:
            self._records.popitem(last=False)

    @property
    def rejected(self) -> int:
        """How many of the latest records count as rejected."""
        return sum(record.is_rejected for record in self._records.values())

    @property
    def open(self) -> bool:
        """Whether too many are rejected for the events of one type to be at fault."""
        records = list(self._records.values())
        if not _too_many(records):
            return False
        by_type = Counter[str]()
        for record in records:
            by_type.update(record.rejected)
        ((worst, number),) = by_type.most_common(1)
        if 2 * number <= by_type.total():
            return True
        others = [record.without(worst) for record in records]
        return _too_many([record for record in others if record.attempted])


def _too_many(records: Sequence[_Record]) -> bool:
    rejected = sum(record.is_rejected for record in records)
    return rejected >= MIN_REJECTED_RECORDS and rejected > MAX_REJECTED_SHARE * len(
        records
    )
