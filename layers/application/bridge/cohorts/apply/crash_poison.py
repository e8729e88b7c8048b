"""Find the member that crashes the process, and quarantine it alone.

A page that ends its process time and again, for want of memory or in an endless loop,
would block its cohort. It is applied in smaller and smaller steps until the member at
fault stands alone.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from bridge.cohorts.apply.page import PageWork, User
from bridge.cohorts.pages import write_page
from bridge.cohorts.ports.ledger import PageProgress
from bridge.cohorts.rules.counts import count_change
from bridge.cohorts.rules.membership import Confirmed
from bridge.cohorts.rules.outcomes import ReportRow, outcome_of
from bridge.errors import BridgeError
from bridge.reasons import Reason

SUSPECT_RECEIPTS = 4
"""A page that was received this often is suspected of crashing its process."""

CRASHES = 2
SHRINK_FACTOR = 4
"""This many crashes at one step shrink it to a fourth."""


def apply_in_shrinking_steps(work: PageWork, users: Sequence[User]) -> None:
    """Resume where a crash left off, in smaller steps after each second crash."""
    ledger, message = work.context.ledger, work.message
    progress = ledger.progress(message)
    while progress.done < len(users):
        size = progress.size or work.context.route.step
        if progress.tries >= CRASHES and size == 1:
            _quarantine(work, users[progress.done], progress.done)
            progress = PageProgress(progress.done + 1)
            continue
        if progress.tries >= CRASHES:
            progress = PageProgress(progress.done, max(1, size // SHRINK_FACTOR))
            continue
        begun = replace(progress, size=size, tries=progress.tries + 1)
        ledger.save_progress(message, begun)
        try:
            work.apply(users[progress.done : progress.done + size])
            work.save_report(f"-{progress.done}")
        except BridgeError:
            ledger.save_progress(message, progress)
            raise
        progress = PageProgress(progress.done + size, size)


def _quarantine(work: PageWork, user: User, number: int) -> None:
    """Quarantine one user as a page of its own, which a replay can bring back.

    The ledger marks the member, so that no later rescan pushes it.
    """
    context, message = work.context, work.message
    for member in work.record([user]):
        marked = replace(member, confirmed=Confirmed.QUARANTINED)
        context.ledger.save(message.key, [marked])
        work.applied.counts.update(count_change(member, marked))
        work.rows += [
            ReportRow(member.key, each, *outcome_of(member, marked, message.seq))
            for each in member.profiles
        ]
    work.save_report(f"-{number}")
    content = write_page(user.profiles)
    digest = hashlib.sha256(content).hexdigest()[:32]
    context.pages.put(message.key, digest, content)
    alone = message.model_copy(
        update={
            "page": f"{message.page}.{number}",
            "digest": digest,
            "reassert": True,
        }
    )
    context.quarantine(alone, Reason.CRASH_POISON)
    work.applied.rejected[Reason.CRASH_POISON] += 1
