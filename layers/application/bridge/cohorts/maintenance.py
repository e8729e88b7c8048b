"""What nobody calls for, on a schedule: lost messages, re-assertion, silence.

A page whose webhook died between registering and sending, and that Mixpanel gave up to
repeat, has no message; its sync would never be processed.
"""

from dataclasses import dataclass

from bridge.cohorts.messages import RescanMessage, message_of
from bridge.cohorts.ports import Known, Ledger, Queue

PATIENCE_MS = 600_000
"""The sender repeats for a minute, and until then the page is its own affair."""

SILENT_MS = 5_400_000
DISCONNECTED_MS = 86_400_000
"""Mixpanel calls every half hour, even with nothing to say; after a day of silence
somebody has disconnected the cohort on purpose."""

DAY_MS = 86_400_000


@dataclass(slots=True)
class MaintenanceRun:
    """What one run found."""

    resent: int = 0
    reasserted: int = 0
    silent: int = 0


def run_maintenance(
    ledger: Ledger, queue: Queue, now_ms: int, reassert_days: int
) -> MaintenanceRun:
    """Look at every cohort; `reassert_days` of 0 asserts nobody again.

    Raises `RetryableError`; a run that broke off is made good by the next.
    """
    run = MaintenanceRun()
    for known in ledger.cohorts():
        run.resent += _send_again(ledger, queue, known, now_ms)
        run.silent += is_silent(known, now_ms)
        day = now_ms // DAY_MS
        if reassert_days and known.reasserted < day:
            queue.send(RescanMessage(key=known.key, day=day, days=reassert_days))
            ledger.begin_day(known.key, day)
            run.reasserted += 1
    return run


def _send_again(ledger: Ledger, queue: Queue, known: Known, now_ms: int) -> int:
    """Send the accepted pages of a cohort that have no message."""
    sent = 0
    for sync in ledger.cohort(known.key).syncs:
        if sync.is_processed or now_ms - sync.last_page_at < PATIENCE_MS:
            continue
        for page in ledger.registered(known.key, sync.seq):
            if not page.sent:
                message = message_of(known.key, sync.seq, page)
                queue.send(message)
                ledger.mark_sent(message, page.at)
                sent += 1
    return sent


def is_silent(known: Known, now_ms: int) -> bool:
    """Whether a recurring sync has stopped calling; one sync alone does not recur."""
    silence = now_ms - known.called_at
    return known.syncs > 1 and SILENT_MS < silence < DISCONNECTED_MS
