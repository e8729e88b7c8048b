"""The ten-minute job over all cohorts: lost messages, reassertion, what is odd.

A page has no message if the webhook died between registering and sending it and
Mixpanel did not repeat it; without this job its sync would never be processed.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from bridge.cohorts.backlog import Unprocessed, oldest_wait
from bridge.cohorts.cohort_messages import RescanMessage
from bridge.cohorts.messages import CohortKey, message_of
from bridge.cohorts.ports.ledger import IndexedCohort, Ledger
from bridge.cohorts.ports.queue import Queue
from bridge.cohorts.rules.model import Cohort

PATIENCE_MS = 600_000
"""The sender retries a page for a minute; this job leaves it alone for longer."""

DAY_MS = 86_400_000

SILENT_GAPS = 3
SILENT_MS = 5_400_000
"""Mixpanel calls at every interval, even without changes: a cohort is silent after
three of its usual gaps, and never sooner than three half hours."""

ALARM_MS = DAY_MS
"""The alarm rings for a day; who did not react has disconnected the cohort."""


@dataclass(slots=True)
class MaintenanceRun:
    """What one run did and found.

    Messages resent and cohorts reasserted; cohorts that are silent, and those that two
    connections feed. `waiting` are those of which a sync waits for an operator; that is
    said once a day. `oldest_wait` is that of `backlog`, over all cohorts, in ms.
    """

    resent: int = 0
    reasserted: int = 0
    silent: int = 0
    two_senders: int = 0
    waiting: int = 0
    oldest_wait: int = 0


def run_maintenance(
    ledger: Ledger,
    queue: Queue,
    now_ms: int,
    reassert_days: int,
    forget_silent_days: int = 30,
) -> MaintenanceRun:
    """Look at every cohort; with `reassert_days` of 0 nobody is reasserted.

    Nor are the members of a cohort that was not called for `forget_silent_days`: it may
    have been deleted in Mixpanel. It stays in the index, with its members.
    Raises `RetryableError`; the next run completes one that failed.
    """
    run = MaintenanceRun()
    for cohort in ledger.cohorts():
        known = ledger.cohort(cohort.key)
        unprocessed = _unprocessed(ledger, cohort.key, known, now_ms)
        run.resent += _resend(ledger, queue, cohort.key, unprocessed, now_ms)
        run.oldest_wait = max(run.oldest_wait, oldest_wait(unprocessed, now_ms))
        run.two_senders += len(known.feeding(now_ms)) > 1
        run.silent += is_newly_silent(cohort, now_ms)
        day = now_ms // DAY_MS
        if cohort.day == day:
            continue
        run.waiting += bool(known.waiting)
        has_ended = day - cohort.called_at // DAY_MS > forget_silent_days
        if reassert_days and not has_ended:
            queue.send(RescanMessage(key=cohort.key, day=day, days=reassert_days))
            run.reasserted += 1
        ledger.begin_day(cohort.key, day)
    return run


def _unprocessed(
    ledger: Ledger, key: CohortKey, cohort: Cohort, now_ms: int
) -> list[Unprocessed]:
    """The syncs of a cohort that could have been processed by now, with their pages."""
    return [
        (sync, ledger.registered(key, sync.seq))
        for sync in cohort.syncs
        if not sync.is_processed and now_ms - sync.seq >= PATIENCE_MS
    ]


def _resend(
    ledger: Ledger,
    queue: Queue,
    key: CohortKey,
    unprocessed: Iterable[Unprocessed],
    now_ms: int,
) -> int:
    """Send the accepted pages that have no message."""
    sent = 0
    for sync, pages in unprocessed:
        if now_ms - sync.last_page_at < PATIENCE_MS:
            continue
        for page in pages:
            if not page.sent:
                message = message_of(key, sync.seq, page)
                queue.send(message)
                ledger.mark_sent(message, page.at)
                sent += 1
    return sent


def is_silent(cohort: IndexedCohort, now_ms: int) -> bool:
    """Whether a recurring sync has stopped calling; one sync alone does not recur."""
    return cohort.syncs > 1 and now_ms - cohort.called_at > _patience(cohort)


def is_newly_silent(cohort: IndexedCohort, now_ms: int) -> bool:
    """Whether it has stopped within a day: somebody may have to resume it."""
    ends = cohort.called_at + _patience(cohort) + ALARM_MS
    return is_silent(cohort, now_ms) and now_ms < ends


def _patience(cohort: IndexedCohort) -> int:
    return max(SILENT_MS, SILENT_GAPS * cohort.gap_ms)
