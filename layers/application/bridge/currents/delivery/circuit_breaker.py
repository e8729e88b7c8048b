"""Stops a mass rejection before the stream is emptied into the quarantine (pure).

Counted are records and not events: a poison record, however many events it holds, must
never keep its shard waiting, while a fault of Mixpanel's or ours spoils one record
after the other.
"""

from collections import OrderedDict

RECORDS = 50
"""How many of the latest records are looked at."""

SHARE = 0.2
"""A record is spoilt if more than this of its events were refused; the breaker opens if
more than this of the records are spoilt."""

SPOILT_RECORDS = 5
"""… and at least so many: four bad records among few are just that."""


class Breaker:
    """The latest records of a process, across its invocations.

    A record that comes again takes the place of its former self, so that tries of the
    same record prove nothing, and a batch that goes well closes the breaker.
    """

    def __init__(self) -> None:
        self._spoilt: OrderedDict[str, bool] = OrderedDict()

    def note(self, position: str, sent: int, refused: int) -> None:
        """What became of the record's events so far."""
        self._spoilt.pop(position, None)
        self._spoilt[position] = refused > SHARE * sent
        if len(self._spoilt) > RECORDS:
            self._spoilt.popitem(last=False)

    @property
    def spoilt(self) -> int:
        """How many of the latest records are."""
        return sum(self._spoilt.values())

    @property
    def open(self) -> bool:
        """Whether refusals are no longer taken for the events' own fault."""
        spoilt = self.spoilt
        return spoilt >= SPOILT_RECORDS and spoilt > SHARE * len(self._spoilt)
