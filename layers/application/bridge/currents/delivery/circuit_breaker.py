"""Stops a mass rejection before the whole stream ends in the quarantine (pure).

It counts records, not events: a poison record, however many events it holds, must never
block its shard, while a fault of Mixpanel's or ours affects one record after the other.
Decision 0027.
"""

from collections import OrderedDict

WINDOW_RECORDS = 50
"""The breaker looks at so many of the latest records."""

MAX_REJECTED_SHARE = 0.2
"""A record counts as rejected if more than this share of its events is; the breaker
opens if more than this share of the records is."""

MIN_REJECTED_RECORDS = 5
"""Fewer rejected records than this never open the breaker."""


class CircuitBreaker:
    """The latest records of a process, across its invocations.

    A record that is delivered again replaces its former entry: retries of one record
    never open the breaker, and a batch that succeeds closes it.
    """

    def __init__(self) -> None:
        self._rejected: OrderedDict[str, bool] = OrderedDict()

    def note(self, position: str, attempted: int, rejected: int) -> None:
        """Note how many of the record's events were attempted and rejected so far."""
        self._rejected.pop(position, None)
        self._rejected[position] = rejected > MAX_REJECTED_SHARE * attempted
        if len(self._rejected) > WINDOW_RECORDS:
            self._rejected.popitem(last=False)

    @property
    def rejected(self) -> int:
        """How many of the latest records count as rejected."""
        return sum(self._rejected.values())

    @property
    def open(self) -> bool:
        """Whether too many are rejected for it to be the events' own fault."""
        rejected = self.rejected
        return rejected >= MIN_REJECTED_RECORDS and rejected > MAX_REJECTED_SHARE * len(
            self._rejected
        )
