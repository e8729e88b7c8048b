"""What a warm process remembers of earlier batches; a cold one works without it.

The stream's checkpoint is a record. A record with more events than one invocation can
deliver would never be passed if each began at its first event again.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from bridge.currents.delivery.circuit_breaker import CircuitBreaker
from bridge.mixpanel.import_api import BYTES_PER_CALL, BYTES_PER_EVENT
from bridge.quarantine import QuarantinedItem

MAX_UNFINISHED = 64
"""One a shard is needed; the oldest goes first."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """The first `settled` events of a record are done; `aside` are the bad of these."""

    settled: int = 0
    quarantined: Sequence[QuarantinedItem] = ()


@dataclass(slots=True)
class WarmState:
    """`call_bytes` is the largest request that Mixpanel is believed to take.

    `in_part` are records that were not finished, by position; mostly none.
    """

    call_bytes: int = BYTES_PER_CALL
    breaker: CircuitBreaker = field(default_factory=CircuitBreaker)
    unfinished: OrderedDict[str, Unfinished] = field(default_factory=OrderedDict)

    def too_large(self, size: int) -> None:
        """Mixpanel refused a request of this size: half of it comes next.

        Never below what a single event may have; a 413 for less is a mere mishap.
        """
        if size > BYTES_PER_EVENT:
            self.call_bytes = min(self.call_bytes, max(size // 2, BYTES_PER_EVENT))

    def keep(self, position: str, part: Unfinished) -> None:
        """The record comes again, and need not begin anew."""
        self.unfinished[position] = part
        if len(self.unfinished) > MAX_UNFINISHED:
            self.unfinished.popitem(last=False)

    def resume(self, position: str) -> Unfinished:
        """Where to begin with this record; this is forgotten by it."""
        return self.unfinished.pop(position, Unfinished())
