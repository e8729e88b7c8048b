"""Stops a mass rejection before the stream is emptied into the quarantine (pure).

Counted are records and not events: a poison record, however many events it holds, must
never keep its shard waiting, while a fault of Mixpanel's or ours spoils one record
after the other.
"""

from collections import OrderedDict

WINDOW_RECORDS = 50
"""How many of the latest records are looked at."""

MAX_REJECTED_SHARE = 0.2
"""A record is spoilt if more than this of its events were refused; the breaker opens if
more than this of the records are spoilt."""

MIN_REJECTED_RECORDS = 5
"""… and at least so many: four bad records among few are just that."""


class CircuitBreaker:
    """The latest records of a process, across its invocations.

    A record that comes again takes the place of its former self, so that tries of the
    same record prove nothing, and a batch that goes well closes the breaker.
    """

    def __init__(self) -> None:
        self._rejected: OrderedDict[str, bool] = OrderedDict()

    def note(self, position: str, sent: int, rejected: int) -> None:
        """What became of the record's events so far."""
        self._rejected.pop(position, None)
        self._rejected[position] = rejected > MAX_REJECTED_SHARE * sent
        if len(self._rejected) > WINDOW_RECORDS:
            self._rejected.popitem(last=False)

    @property
    def rejected(self) -> int:
        """How many of the latest records are."""
        return sum(self._rejected.values())

    @property
    def open(self) -> bool:
        """Whether refusals are no longer taken for the events' own fault."""
        rejected = self.rejected
        return rejected >= MIN_REJECTED_RECORDS and rejected > MAX_REJECTED_SHARE * len(
            self._rejected
        )
