"""The ledger, split by who reads it.

The sync log (both sides of the queue), the members (the consumer), the index of cohorts
(maintenance, the operator) and the progress of pages that crash the process.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bridge.cohorts.messages import CohortKey, PageMessage
from bridge.cohorts.rules.commit import Resolution
from bridge.cohorts.rules.membership import Member, Places
from bridge.cohorts.rules.model import Cohort, Page, RegisteredPage, Sync
from bridge.cohorts.rules.placement import Placement


@dataclass(frozen=True, slots=True)
class Registration:
    """A page that arrived at `now_ms`, and where it was placed.

    `name` is the cohort's, empty where the call gives none. `skipped` counts members by
    reason. `since` (ms) goes with a placement that restarts a sync.
    """

    key: CohortKey
    page: Page
    placement: Placement
    now_ms: int
    name: str = ""
    skipped: Mapping[str, int] = field(default_factory=dict)
    since: int = 0


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


class SyncLog(Protocol):
    """Cohorts, their syncs and the pages of these."""

    def cohort(self, key: CohortKey, session: str | None = None) -> Cohort:
        """The cohort with its open syncs and, if given, that session's sync."""

    def cohort_and_page(
        self, message: PageMessage
    ) -> tuple[Cohort, RegisteredPage | None]:
        """The cohort with its open syncs, and the page if it was ever registered."""

    def sync(self, key: CohortKey, seq: int) -> Sync | None:
        """One sync, open or not; None when it is unknown or has expired."""

    def digests(
        self, key: CohortKey, page: Page, seqs: Iterable[int]
    ) -> Mapping[int, str]:
        """The content that is registered for this page, by sync."""

    def register(self, cohort: Cohort, registration: Registration) -> bool:
        """Write page and sync together; False if another writer was faster."""

    def registered(self, key: CohortKey, seq: int) -> Sequence[RegisteredPage]:
        """All pages of a sync."""

    def mark_sent(self, message: PageMessage, at: int) -> None:
        """Record that the message of a page, which arrived at `at` ms, is queued."""

    def mark_called(self, key: CohortKey, seq: int, at: int) -> None:
        """Record that a known page of the sync arrived once more, at `at` ms."""

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

    def rename(self, key: CohortKey, name: str) -> None:
        """Record the cohort's name; the cohort may be new."""

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
