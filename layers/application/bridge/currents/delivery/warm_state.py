"""What a warm process remembers of earlier batches; a cold one works without it.

The stream's checkpoint is a whole record. A record with more events than one invocation
can deliver would never be finished if each invocation began at its first event.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from bridge.currents.delivery.circuit_breaker import CircuitBreaker
from bridge.currents.delivery.reshape import Limit
from bridge.mixpanel.import_api import BYTES_PER_CALL, BYTES_PER_EVENT
from bridge.quarantine import QuarantinedItem

MAX_PARTIAL = 64
"""Partial records remembered, one a shard; the oldest is forgotten first."""


@dataclass(frozen=True, slots=True)
class PartialRecord:
    """A record whose first `finished` events are delivered, filtered or quarantined.

    `quarantined` are the items among these, which no batch has stored yet.
    """

    finished: int = 0
    quarantined: Sequence[QuarantinedItem] = ()


@dataclass(slots=True)
class WarmState:
    """`call_bytes` is the largest request that Mixpanel is believed to accept.

    `next_call` is how many events the next call takes, where time ran out while a call
    was sent in parts; mostly 0. `partial` holds partial records by their position;
    mostly there are none.
    `reshaped` are the limits for which events had to be reshaped, by event type.
    """

    call_bytes: int = BYTES_PER_CALL
    breaker: CircuitBreaker = field(default_factory=CircuitBreaker)
    partial: OrderedDict[str, PartialRecord] = field(default_factory=OrderedDict)
    next_call: int = 0
    reshaped: dict[str, frozenset[Limit]] = field(default_factory=dict)

    def too_large(self, size: int) -> None:
        """Halve the limit after a 413 for a request of this many bytes.

        It never falls below the size of a single event; a 413 for less than that is
        an accident.
        """
        if size > BYTES_PER_EVENT:
            self.call_bytes = min(self.call_bytes, max(size // 2, BYTES_PER_EVENT))

    def learn_reshaped(self, event_type: str, limits: frozenset[Limit]) -> None:
        """Reshape events of this type that pass one of these limits at once."""
        known = self.reshaped.get(event_type, frozenset())
        self.reshaped[event_type] = known | limits

    def suspend(self, position: str, partial: PartialRecord) -> None:
        """Remember where to resume the record when the stream delivers it again."""
        self.partial[position] = partial
        if len(self.partial) > MAX_PARTIAL:
            self.partial.popitem(last=False)

    def resume(self, position: str) -> PartialRecord:
        """Where to resume the record; forgets it."""
        return self.partial.pop(position, PartialRecord())
