"""What the doors know of cohorts: their syncs and the pages of these."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bridge.cohorts.messages import CohortKey, PageMessage
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


class PageLog(Protocol):
    """Cohorts, their syncs and their pages, as both sides of the queue see them."""

    def cohort(self, key: CohortKey, session: str | None = None) -> Cohort:
        """The cohort with its open syncs and, if given, that session's sync."""

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

    def rename(self, key: CohortKey, name: str) -> None:
        """Record the cohort's name; the cohort may be new."""
