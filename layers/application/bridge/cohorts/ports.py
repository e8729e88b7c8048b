"""What the cohort flow needs of the world; adapters are real or in memory.

Every method raises `RetryableError` when its store does not answer.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from bridge.cohorts.identity import Identifier, Matched
from bridge.cohorts.membership import Cohort, Member, Page, Placement, Sync, Verdict
from bridge.cohorts.message import CohortKey, Message, PageMessage


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
    ) -> bool:
        """Write page and sync together; False if another writer was faster."""

    def rename(self, key: CohortKey, name: str) -> None:
        """Write the cohort's name, whether or not the cohort is known."""

    def mark_again(self, key: CohortKey, seq: int, page: Page) -> None:
        """A registered page came once more unchanged."""

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

    def mark_processed(
        self,
        message: PageMessage,
        repeats: Iterable[tuple[int, int]],
        skipped: Mapping[str, int],
    ) -> None:
        """The page has taken effect; once only, however often it is called.

        `repeats` are pairs (later, earlier) of syncs; `skipped` members by reason.
        """

    def advance(self, key: CohortKey, cohort: Cohort, verdict: Verdict) -> bool:
        """Write the verdict; False if the cohort is no longer as it was read."""

    def settled(self, key: CohortKey, dead: Iterable[int]) -> None:
        """Forget dead syncs of which no member holds a version any more."""


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
    """One of the ways to tell Braze who is in a cohort."""

    def destination(self) -> str:
        """Fingerprint (short hex) of where pushes go.

        Made of route, endpoint, workspace or key digest, attribute and form or partner
        name.
        """

    def name(self, cohort: str, name: str) -> None:
        """Tell Braze the cohort's name, before the first push and on rename.

        Does nothing where names do not matter.
        """

    def push(
        self, cohort: str, name: str, changes: Sequence[tuple[Identifier, bool]]
    ) -> Sequence[str | None]:
        """Tell Braze; per change None where it is done, else why it never will be."""
