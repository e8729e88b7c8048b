"""The ten-minute job over all cohorts: lost messages, reassertion, what is odd.

A page has no message if the webhook died between registering and sending it and
Mixpanel did not repeat it; without this job its sync would never be processed.
"""

from dataclasses import dataclass

from bridge.cohorts.messages import CohortKey, RescanMessage, message_of
from bridge.cohorts.ports import IndexedCohort, Ledger, Queue
from bridge.cohorts.rules.model import Cohort

PATIENCE_MS = 600_000
"""The sender retries a page for a minute; this job leaves it alone for longer."""

SILENT_MS = 5_400_000
DISCONNECTED_MS = 86_400_000
"""Mixpanel calls every half hour, even without changes. After a day of silence
somebody has disconnected the cohort on purpose."""

DAY_MS = 86_400_000


@dataclass(slots=True)
class MaintenanceRun:
    """What one run did and found.

    Messages resent and cohorts reasserted; cohorts that are silent, and those that two
    connections feed.
    """

    resent: int = 0
    reasserted: int = 0
    silent: int = 0
    two_senders: int = 0


def run_maintenance(
    ledger: Ledger, queue: Queue, now_ms: int, reassert_days: int
) -> MaintenanceRun:
    """Look at every cohort; with `reassert_days` of 0 nobody is reasserted.

    Raises `RetryableError`; the next run completes one that failed.
    """
    run = MaintenanceRun()
    for cohort in ledger.cohorts():
        known = ledger.cohort(cohort.key)
        run.resent += _resend(ledger, queue, cohort.key, known, now_ms)
        run.two_senders += len(known.feeding(now_ms)) > 1
        run.silent += is_silent(cohort, now_ms)
        day = now_ms // DAY_MS
        if reassert_days and cohort.reasserted < day:
            queue.send(RescanMessage(key=cohort.key, day=day, days=reassert_days))
            ledger.begin_day(cohort.key, day)
            run.reasserted += 1
    return run


def _resend(
    ledger: Ledger, queue: Queue, key: CohortKey, cohort: Cohort, now_ms: int
) -> int:
    """Send the accepted pages of a cohort that have no message."""
    sent = 0
    for sync in cohort.syncs:
        if sync.is_processed or now_ms - sync.last_page_at < PATIENCE_MS:
            continue
        for page in ledger.registered(key, sync.seq):
            if not page.sent:
                message = message_of(key, sync.seq, page)
                queue.send(message)
                ledger.mark_sent(message, page.at)
                sent += 1
    return sent


def is_silent(cohort: IndexedCohort, now_ms: int) -> bool:
    """Whether a recurring sync has stopped calling; one sync alone does not recur."""
    silence = now_ms - cohort.called_at
    return cohort.syncs > 1 and SILENT_MS < silence < DISCONNECTED_MS
