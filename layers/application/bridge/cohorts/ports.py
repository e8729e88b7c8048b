"""What the cohort flow needs of the world; adapters are real or in memory.

Every method raises `RetryableError` when its store does not answer.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bridge.cohorts.messages import CohortKey, Message, PageMessage
from bridge.cohorts.rules.commit import Resolution
from bridge.cohorts.rules.identifiers import Identifier, Matched
from bridge.cohorts.rules.membership import Member
from bridge.cohorts.rules.model import Cohort, Page, Registered, Sync
from bridge.cohorts.rules.placement import Placement


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a page has come that ended its process again and again.

    The next `size` users from number `done` on were begun `tries` times.
    """

    done: int = 0
    size: int = 0
    tries: int = 0


@dataclass(frozen=True, slots=True)
class Known:
    """A cohort in the list of all; `called_at` is its newest sync, in ms.

    `reasserted` is the day, counted from the epoch, of its last re-assertion.
    """

    key: CohortKey
    called_at: int
    syncs: int
    reasserted: int = 0


class Ledger(Protocol):
    """Syncs, pages and members of all cohorts; members stand in `shards` shards."""

    shards: int

    def cohort(self, key: CohortKey, session: str | None = None) -> Cohort:
        """The cohort with its undecided syncs and, if given, that session's sync."""

    def digests(
        self, key: CohortKey, page: Page, seqs: Iterable[int]
    ) -> Mapping[int, str]:
        """By sync, the content that is registered for this page."""

    def register(
        self,
        key: CohortKey,
        cohort: Cohort,
        page: Page,
        placement: Placement,
        *,
        name: str,
        skipped: Mapping[str, int],
        now_ms: int,
        since: int = 0,
    ) -> bool:
        """Write page and sync together; False if another writer was faster.

        `since` goes with a placement that restarts a sync.
        """

    def registered(self, key: CohortKey, seq: int) -> Sequence[Registered]:
        """All pages of a sync."""

    def mark_sent(self, message: PageMessage, at: int) -> None:
        """The message of a page is in the queue; the page came last at `at` ms."""

    def mark_called(self, key: CohortKey, seq: int, at: int) -> None:
        """A page of the sync came once more, at `at` ms."""

    def rename(self, key: CohortKey, name: str) -> None:
        """Keep the cohort's name; the cohort may be new."""

    def cohorts(self) -> Iterable[Known]:
        """All cohorts of which a sync ever came."""

    def begin_day(self, key: CohortKey, day: int) -> None:
        """The re-assertion of that day is under way."""

    def members(self, key: CohortKey, ids: Sequence[str]) -> Mapping[str, Member]:
        """Those of the members that are known."""

    def save(self, key: CohortKey, members: Iterable[Member]) -> None:
        """Write members whole."""

    def scan(
        self, key: CohortKey, shard: int, after: str, limit: int
    ) -> Sequence[Member]:
        """The next members of one shard, in order of their keys."""

    def sync(self, key: CohortKey, seq: int) -> Sync | None:
        """One sync, decided or not; None when it is unknown or has expired."""

    def mark_repeats(self, key: CohortKey, repeats: Iterable[tuple[int, int]]) -> None:
        """Pairs (later, earlier) of syncs of which the later says a change again."""

    def mark_processed(self, message: PageMessage, skipped: Mapping[str, int]) -> None:
        """The page has taken effect; once only, however often it is called.

        `skipped` are members by reason.
        """

    def count_rejected(self, message: PageMessage, refused: Mapping[str, int]) -> None:
        """Members by reason whom Braze refused before the page had to wait."""

    def advance(self, key: CohortKey, cohort: Cohort, resolution: Resolution) -> bool:
        """Write the verdict; False if the cohort is no longer as it was read."""

    def forget_aborted(self, key: CohortKey, aborted: Iterable[int]) -> None:
        """Forget dead syncs of which no member holds a version any more."""

    def set_destination(self, key: CohortKey, destination: str) -> None:
        """From now on members are pushed there."""

    def set_published_name(self, key: CohortKey, name: str) -> None:
        """Braze was told the cohort's name."""

    def progress(self, message: PageMessage) -> Progress:
        """How far the page has come."""

    def save_progress(self, message: PageMessage, progress: Progress) -> None:
        """Write that down."""


class PageStore(Protocol):
    """Members of accepted pages, by content."""

    def put(self, key: CohortKey, digest: str, content: bytes) -> None:
        """Keep the page."""

    def get(self, key: CohortKey, digest: str) -> Sequence[Matched]:
        """The members of a page; raises `PermanentError` when it is gone."""


class Queue(Protocol):
    """The FIFO queue of messages."""

    def send(self, message: Message) -> None:
        """Enqueue; the same message within five minutes is dropped by the queue."""


class Route(Protocol):
    """One of the ways to tell Braze who is in a cohort.

    `step` is how many changes make a push of whole calls.
    """

    @property
    def step(self) -> int:
        """Changes in one push."""

    def destination(self) -> str:
        """Fingerprint of where pushes go: another one holds none of what was pushed."""

    def name(self, cohort: str, name: str) -> None:
        """Tell Braze the cohort's name, before the first push and on a rename."""

    def push(
        self,
        cohort: str,
        name: str,
        changes: Sequence[tuple[Identifier, bool]],
    ) -> Sequence[str | None]:
        """Tell Braze; per change None where it is done, else why it never will be."""
