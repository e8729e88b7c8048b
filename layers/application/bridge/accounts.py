"""Delivered, filtered, deferred or quarantined: the accounts of one invocation.

Every item that is received meets one of these four fates. Accounts that do not close
are a fault of ours: they raise an alarm, and the batch is delivered again.
"""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Accounts:
    """Counts of one invocation; `filtered` by rule, `quarantined` by reason."""

    received: int = 0
    delivered: int = 0
    deferred: int = 0
    filtered: Counter[str] = field(default_factory=Counter)
    quarantined: Counter[str] = field(default_factory=Counter)

    @property
    def closed(self) -> bool:
        """Whether every item that came in is accounted for exactly once."""
        return self.received == (
            self.delivered
            + self.deferred
            + self.filtered.total()
            + self.quarantined.total()
        )

    def summary(self) -> dict[str, object]:
        """The accounts as the fields of a log line."""
        return {
            "received": self.received,
            "delivered": self.delivered,
            "deferred": self.deferred,
            "filtered": dict(+self.filtered),
            "quarantined": dict(+self.quarantined),
            "closed": self.closed,
        }
