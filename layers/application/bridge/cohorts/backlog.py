"""How long the oldest page has waited: accepted, but not applied yet.

SQS cannot tell: its age of the oldest message leaves out those that were received
several times, and these are the ones that wait.
"""

from collections.abc import Iterable, Sequence

from bridge.cohorts.rules.model import RegisteredPage, Sync

MAX_WAIT_MS = 14 * 86_400_000
"""The life of a page and of its message; nothing can apply an older one any more."""

type Unprocessed = tuple[Sync, Sequence[RegisteredPage]]
"""A sync of which not every page has been applied, with all its pages."""


def oldest_wait(unprocessed: Iterable[Unprocessed], now_ms: int) -> int:
    """Milliseconds since the oldest waiting page arrived; 0 if none waits (pure).

    Of an aborted sync none does.
    """
    waits = (
        now_ms - page.at
        for sync, pages in unprocessed
        if not sync.aborted
        for page in pages
        if not page.processed
    )
    return max((wait for wait in waits if wait < MAX_WAIT_MS), default=0)
