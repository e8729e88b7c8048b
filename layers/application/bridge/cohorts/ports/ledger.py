"""The ledger, split by who reads it.

The page log (both sides of the queue, `page_log.py`), the sync log and the members (the
consumer), the index of cohorts (maintenance, the operator) and the progress of pages
that crash the process.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bridge.cohorts.messages import CohortKey, PageMessage
from bridge.cohorts.ports.page_log import PageLog
from bridge.cohorts.rules.commit import Resolution
from bridge.cohorts.rules.membership import Member, Places
from bridge.cohorts.rules.model import Cohort, RegisteredPage


@dataclass(frozen=True, slots=True)
class PageProgress:
    """How far a page has come that crashes its process time and again.

    `done` users are behind it; the next `size` users were begun `tries` times.
    """

    done: int = 0
    size: int = 0
    tries: int = 0


@dataclass(frozen=True, slots=True)
class IndexedCohort:
    """A cohort in the index; `called_at` is the beginning of its newest sync, in ms.

    `day`, counted from the epoch, is the last one on which maintenance has done what it
    does daily. `gap_ms` is the usual gap between its syncs, 0 if none is known.
    """

    key: CohortKey
    called_at: int
    syncs: int
    day: int = 0
    gap_ms: int = 0


@dataclass(frozen=True, slots=True)
class Tally:
    """What applying a page came to, for its sync; attributes as in `Sync`."""

    skipped: Mapping[str, int] = field(default_factory=dict)
    rejected: Mapping[str, int] = field(default_factory=dict)
    listed: int = 0
    already_in: int = 0
    is_suspect: bool = False


@dataclass(frozen=True, slots=True)
class OpenPush:
    """A push that has begun and not ended: the members whom it may have written.

    It began at `at` ms, later than any push before of a member that it names. A member
    whom it has concluded has this time as `pushed_at`.
    """

    destination: str
    at: int
    keys: Sequence[str]


class SyncLog(PageLog, Protocol):
    """What becomes of syncs and pages."""

    def cohort_and_page(
        self, message: PageMessage
    ) -> tuple[Cohort, RegisteredPage | None]:
        """The cohort with its open syncs, and the page if it was ever registered."""

    def mark_repeats(self, key: CohortKey, repeats: Iterable[tuple[int, int]]) -> None:
        """Record pairs (later, earlier) of syncs: the later repeats a change."""

    def mark_processed(self, message: PageMessage, tally: Tally) -> None:
        """Record that a registered page has been applied; counted once."""

    def count_rejected(self, message: PageMessage, rejected: Mapping[str, int]) -> None:
        """Count members that Braze rejected before the page was deferred, by reason."""

    def advance(
        self,
        key: CohortKey,
        cohort: Cohort,
        resolution: Resolution,
        counts: Mapping[str, int],
    ) -> bool:
        """Write a resolution, and what changes in the cohort's counts.

        False if the cohort has changed since it was read.
        """

    def count(self, key: CohortKey, change: Mapping[str, int]) -> None:
        """Add to the cohort's counts, if anything changes."""

    def recount(self, key: CohortKey, counts: Mapping[str, int], counted: int) -> None:
        """Replace the cohort's counts, if they were changed `counted` times by now."""

    def forget_aborted(self, key: CohortKey, aborted: Iterable[int]) -> None:
        """Drop aborted syncs of which no member holds a version any more."""

    def publish(self, key: CohortKey, destination: str, name: str) -> None:
        """Record where members are pushed to, and what the cohort is called there."""


class Members(Protocol):
    """The members of all cohorts, in `shards` shards each."""

    shards: int

    def members(self, key: CohortKey, ids: Sequence[str]) -> Mapping[str, Member]:
        """Those of the members that are known."""

    def save(self, key: CohortKey, members: Iterable[Member]) -> None:
        """Write whole members."""

    def begin_push(self, key: CohortKey, begun: OpenPush) -> None:
        """Record a push before its first call."""

    def open_pushes(self, key: CohortKey) -> Sequence[OpenPush]:
        """The pushes of a cohort that have not ended."""

    def end_push(self, key: CohortKey, begun: OpenPush) -> None:
        """Drop the record of a push: all its members are saved."""

    def places(self, key: CohortKey, distinct_ids: Sequence[str]) -> Places:
        """Where profiles stand that are in the index of profiles."""

    def save_places(self, key: CohortKey, places: Places, *, is_first: bool) -> None:
        """Write them into the index; `is_first` where the cohort had none so far."""

    def save_rejected(
        self, key: CohortKey, rejected: Mapping[str, str], seq: int
    ) -> None:
        """List members whom Braze has rejected while `seq` was the newest sync.

        `rejected` holds the reasons by key.
        """

    def forget_rejected(self, key: CohortKey, ids: Sequence[str]) -> None:
        """Take members off that list."""

    def rejected(self, key: CohortKey, after: str, limit: int) -> Mapping[str, int]:
        """The next members of that list, ordered by key: key → sync."""

    def set_rejected_in(self, key: CohortKey, seq: int) -> None:
        """Record in which sync a member was last rejected for a passing reason."""

    def scan(
        self, key: CohortKey, shard: int, after: str, limit: int
    ) -> Sequence[Member]:
        """The next members of one shard, ordered by key."""


class CohortIndex(Protocol):
    """The list of all cohorts."""

    def cohorts(self) -> Iterable[IndexedCohort]:
        """All cohorts that ever had a sync."""

    def begin_day(self, key: CohortKey, day: int) -> None:
        """Record that what is done daily has been done on that day."""


class ProgressLog(Protocol):
    """The progress of pages that crash the process."""

    def progress(self, message: PageMessage) -> PageProgress:
        """How far the page has come."""

    def save_progress(self, message: PageMessage, progress: PageProgress) -> None:
        """Record how far it has come."""


class Ledger(SyncLog, Members, CohortIndex, ProgressLog, Protocol):
    """All that is known of all cohorts."""
