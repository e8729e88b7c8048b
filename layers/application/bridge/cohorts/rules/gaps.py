"""How often a cohort is synced, as its syncs show (pure).

Mixpanel syncs a cohort every half hour, hourly, daily or in real time, and says nowhere
which.
"""

from collections.abc import Sequence

BURST_MS = 600_000
"""Syncs that follow each other more closely are retries or the parts of one sync."""

KEPT_GAPS = 7
"""Enough for an outage or two not to be taken for the usual gap."""


def with_gap(gaps: Sequence[int], gap_ms: int) -> tuple[int, ...]:
    """The newest gaps between syncs, in ms, once one more has been seen."""
    kept = tuple(gaps) if gap_ms < BURST_MS else (*gaps, gap_ms)
    return kept[-KEPT_GAPS:]


def usual_gap(gaps: Sequence[int]) -> int:
    """Their median in ms, the longer one of two; 0 as long as there are none."""
    return sorted(gaps)[len(gaps) // 2] if gaps else 0
