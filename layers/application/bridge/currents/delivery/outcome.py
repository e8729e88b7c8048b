"""What became of a batch: its accounts, what is set aside, and from where it waits."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from bridge.accounts import Accounts
from bridge.currents.mapping.catalog import counted_type
from bridge.errors import RetryableError
from bridge.quarantine import QuarantinedItem


@dataclass(slots=True)
class Outcome:
    """What became of a batch.

    `retry_from` is the number of the first record with events that are not settled;
    None if there is none. `quarantine` is by record; `drift` are names that the catalog
    does not know.
    """

    accounts: Accounts = field(default_factory=Accounts)
    by_event: dict[str, Counter[str]] = field(
        default_factory=lambda: defaultdict(Counter)
    )
    quarantined: dict[int, list[QuarantinedItem]] = field(
        default_factory=lambda: defaultdict(list)
    )
    drift: Counter[str] = field(default_factory=Counter)
    defer_from: int | None = None
    error: RetryableError | None = None

    def deliver(self, types: Counter[str]) -> None:
        """Mixpanel has taken these."""
        self.accounts.delivered += types.total()
        for event_type, number in types.items():
            self.by_event[event_type]["delivered"] += number

    def filter_out(self, event_type: str, rule: str) -> None:
        """A rule says that this one is not sent."""
        self.accounts.filtered[rule] += 1
        self.by_event[event_type]["filtered"] += 1

    def quarantine(self, record: int, item: QuarantinedItem) -> None:
        """It can never be delivered as it is."""
        self.quarantined[record].append(item)
        self.accounts.quarantined[item.reason] += 1
        self.by_event[counted_type(item.kind)]["quarantined"] += 1

    def defer(
        self, record: int, error: RetryableError, waiting: Iterable[str] = ()
    ) -> None:
        """The stream delivers this record again, and all behind it.

        `waiting` are the types of events that were not settled. What was set aside of
        those records comes again as well, so it is not kept twice.
        """
        self.defer_from, self.error = record, error
        for event_type in waiting:
            self._count_deferred(event_type)
        for number in [each for each in self.quarantined if each >= record]:
            for item in self.quarantined.pop(number):
                self.accounts.quarantined[item.reason] -= 1
                event_type = counted_type(item.kind)
                self.by_event[event_type]["quarantined"] -= 1
                self._count_deferred(event_type)

    def _count_deferred(self, event_type: str) -> None:
        self.accounts.deferred += 1
        self.by_event[event_type]["deferred"] += 1
