"""Where the members of a page wait for the consumer."""

from collections.abc import Sequence
from typing import Protocol

from bridge.cohorts.messages import CohortKey
from bridge.cohorts.pages import Listed


class PageStore(Protocol):
    """The members of accepted pages, by content."""

    def put(self, key: CohortKey, digest: str, content: bytes) -> None:
        """Store the page."""

    def get(self, key: CohortKey, digest: str) -> Sequence[Listed]:
        """The members of a page; raises `PermanentError` when it is gone."""
