"""How long the oldest page has waited: accepted, but not applied yet.

SQS cannot tell: its age of the oldest message leaves out those that were received
several times, and these are the ones that wait.
"""

from bridge.cohorts.messages import CohortKey
from bridge.cohorts.ports.ledger import Ledger
from bridge.cohorts.rules.model import Cohort

MAX_WAIT_MS = 14 * 86_400_000
"""The life of a page and of its message; nothing can apply an older one any more."""


def oldest_wait(
    ledger: Ledger, key: CohortKey, cohort: Cohort, now_ms: int, patience_ms: int
) -> int:
    """Milliseconds since the oldest waiting page of a cohort arrived; 0 if none waits.

    Syncs that began less than `patience_ms` ago are not looked into.
    """
    waits = [0]
    for sync in cohort.syncs:
        if sync.aborted or sync.is_processed or now_ms - sync.seq < patience_ms:
            continue
        waits += [
            now_ms - page.at
            for page in ledger.registered(key, sync.seq)
            if not page.processed
        ]
    return max(wait for wait in waits if wait < MAX_WAIT_MS)
