"""Where people read what became of whom."""

from collections.abc import Sequence
from typing import Protocol

from bridge.cohorts.messages import CohortKey
from bridge.cohorts.rules.outcomes import ReportRow


class Reports(Protocol):
    """What became of whom in each sync, for people to read."""

    def write(
        self, key: CohortKey, sync: str, part: str, rows: Sequence[ReportRow]
    ) -> None:
        """Store one part of the report of a sync, replacing it if it exists."""
