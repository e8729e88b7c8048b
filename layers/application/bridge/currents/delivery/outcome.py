"""What became of a batch: accounts, quarantined items, and where deferral begins."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bridge.accounts import Accounts
from bridge.currents.mapping.catalog import counted_type
from bridge.errors import RetryableError
from bridge.quarantine import QuarantinedItem
from bridge.reasons import Reason


@dataclass(slots=True)
class Outcome:
    """What became of a batch.

    `by_event` counts by event type and fate, `quarantined` holds items by the number
    of their record, and `drift` counts names that the catalog does not know.
    `long_names` are names that Mixpanel cuts.
    `samples` are some of the events for whose rejection the stream waits, not counted.
    `reshaped` counts, by event type, delivered events that had to be reshaped.
    `defer_from` is the number of the first deferred record, and `error` says why it is
    deferred; both are None if every event is finished.
    """

    accounts: Accounts = field(default_factory=Accounts)
    by_event: dict[str, Counter[str]] = field(
        default_factory=lambda: defaultdict(Counter)
    )
    quarantined: dict[int, list[QuarantinedItem]] = field(
        default_factory=lambda: defaultdict(list)
    )
    drift: Counter[str] = field(default_factory=Counter)
    long_names: frozenset[str] = frozenset()
    reshaped: Counter[str] = field(default_factory=Counter)
    samples: Sequence[QuarantinedItem] = ()
    defer_from: int | None = None
    error: RetryableError | None = None

    def deliver(self, types: Counter[str]) -> None:
        """Count events that Mixpanel has imported."""
        self.accounts.delivered += types.total()
        for event_type, number in types.items():
            self.by_event[event_type]["delivered"] += number

    def filter_out(self, event_type: str, rule: str) -> None:
        """Count an event that a rule filters."""
        self.accounts.filtered[rule] += 1
        self.by_event[event_type]["filtered"] += 1

    def quarantine(self, record: int, item: QuarantinedItem) -> None:
        """Count and hold an item that can never be delivered as it is."""
        self.quarantined[record].append(item)
        self.accounts.quarantined[item.reason] += 1
        self.by_event[counted_type(item.kind)]["quarantined"] += 1

    def keep_original(self, record: int, item: QuarantinedItem) -> None:
        """Hold the original of a reshaped event, which is counted as delivered."""
        self.quarantined[record].append(item)
        self.reshaped[counted_type(item.kind)] += 1

    def defer(
        self, record: int, error: RetryableError, pending: Iterable[str] = ()
    ) -> None:
        """Defer this record and all behind it: the stream delivers them again.

        `pending` are the types of the unfinished events. Items quarantined from those
        records are deferred too, so that none is quarantined twice.
        """
        self.defer_from, self.error = record, error
        for event_type in pending:
            self._count_deferred(event_type)
        for number in [each for each in self.quarantined if each >= record]:
            for item in self.quarantined.pop(number):
                if item.reason == Reason.RESHAPED:
                    continue
                self.accounts.quarantined[item.reason] -= 1
                event_type = counted_type(item.kind)
                self.by_event[event_type]["quarantined"] -= 1
                self._count_deferred(event_type)

    def _count_deferred(self, event_type: str) -> None:
        self.accounts.deferred += 1
        self.by_event[event_type]["deferred"] += 1
