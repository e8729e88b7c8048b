"""Resolve which syncs are in force, and start what follows from it."""

from collections.abc import Callable, Mapping

from bridge.cohorts.apply.context import Context
from bridge.cohorts.cohort_messages import MeasureRemovalMessage, Message, RescanMessage
from bridge.cohorts.messages import CohortKey
from bridge.cohorts.rules.commit import MAX_ABORTS, Resolution, resolve
from bridge.cohorts.rules.model import Cohort
from bridge.errors import RetryableError
from bridge.reasons import Reason

COMMIT_TRIES = 8
"""The webhook writes to the cohort meanwhile; the loser of a race reads again."""


def commit_pages(
    context: Context, key: CohortKey, counts: Mapping[str, int]
) -> Resolution:
    """Write what follows from the pages so far, and what changes in the counts."""
    guarded = context.policy.max_removal_fraction < 1
    return commit(context, key, lambda now: resolve(now, guarded=guarded), counts)


def commit(
    context: Context,
    key: CohortKey,
    rule: Callable[[Cohort], Resolution],
    counts: Mapping[str, int] | None = None,
) -> Resolution:
    """Write the resolution of a rule; its messages are sent before it is written.

    What changes in the cohort's counts is part of the same write.

    Should the process die in between, the message in hand is delivered again and, being
    ahead of them in the group, writes it in time. Raises `RetryableError` when others
    write all the time.
    """
    counts = counts or {}
    for _ in range(COMMIT_TRIES):
        cohort = context.ledger.cohort(key)
        resolution = rule(cohort)
        if not resolution.changes(cohort):
            context.ledger.count(key, counts)
            return resolution
        for message in _following(key, cohort, resolution):
            context.queue.send(message)
        written = context.ledger.advance(key, cohort, resolution, counts)
        counts = {} if written else counts
        if written and len(resolution.newly_aborted) < MAX_ABORTS:
            return resolution
    raise RetryableError(Reason.LEDGER_CONTENTION, "the cohort changes all the time")


def _following(key: CohortKey, cohort: Cohort, resolution: Resolution) -> list[Message]:
    """The messages that carry a resolution out."""
    messages: list[Message] = []
    if resolution.rescan:
        aborted = tuple(sorted(cohort.aborted | resolution.newly_aborted))
        messages.append(
            RescanMessage(key=key, baseline=resolution.baseline, aborted=aborted)
        )
    if resolution.measure_removal:
        messages.append(MeasureRemovalMessage(key=key, seq=resolution.measuring))
    return messages
