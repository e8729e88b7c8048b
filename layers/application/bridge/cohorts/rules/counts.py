"""How many members a cohort has, and in which state (pure).

Members are counted as they change; a rescan that meets them all counts anew.
"""

from collections import Counter
from collections.abc import Mapping

from bridge.cohorts.rules.commit import Resolution
from bridge.cohorts.rules.membership import Confirmed, Member
from bridge.cohorts.rules.model import Cohort, Sync
from bridge.mixpanel.cohort_webhook import Action
from bridge.reasons import Reason

IN = "in"
REJECTED = "rejected_"
"""The names of a cohort's counts: members who are in, and rejected ones by reason."""


def counted_as(member: Member) -> str:
    """The name of the count that a member of the ledger belongs to; empty for none."""
    if member.confirmed is Confirmed.UNKNOWN:
        return member.counted
    if member.rejected:
        return f"{REJECTED}{member.rejected}"
    if member.confirmed is Confirmed.QUARANTINED:
        return f"{REJECTED}{Reason.CRASH_POISON}"
    return IN if member.confirmed is Confirmed.IN else ""


def is_rejected(member: Member) -> bool:
    """Whether it counts as rejected."""
    return counted_as(member).startswith(REJECTED)


def count_change(before: Member, after: Member) -> Counter[str]:
    """What a member's new state adds to the counts, and takes from them."""
    change = Counter({counted_as(after): 1})
    change.subtract({counted_as(before): 1})
    return Counter({name: n for name, n in change.items() if name and n})


def rejected_members(cohort: Cohort) -> dict[str, int]:
    """The members whom Braze has rejected, by reason."""
    return {
        name.removeprefix(REJECTED): number
        for name, number in cohort.counts.items()
        if name.startswith(REJECTED) and number
    }


def skipped_profiles(cohort: Cohort) -> Counter[str]:
    """The profiles that Mixpanel counts and the ledger does not know, by reason."""
    total = Counter(cohort.skipped)
    for sync in cohort.syncs:
        if _counts(sync, cohort.baseline, cohort.aborted):
            total.update(_skipped_in(sync))
    return +total


def skipped_after(cohort: Cohort, resolution: Resolution) -> Mapping[str, int]:
    """What syncs that are open no longer have skipped, once the resolution holds."""
    has_moved = resolution.baseline != cohort.baseline
    total = Counter({} if has_moved else cohort.skipped)
    aborted = cohort.aborted | resolution.newly_aborted
    for sync in cohort.syncs:
        is_finished = sync.seq in resolution.finished
        if is_finished and _counts(sync, resolution.baseline, aborted):
            total.update(_skipped_in(sync))
    return total


def _counts(sync: Sync, baseline: int, aborted: frozenset[int]) -> bool:
    """Whether the sync is in force: of the full syncs, that is the baseline alone."""
    is_in_force = not sync.aborted and sync.seq not in aborted and sync.seq >= baseline
    return is_in_force and (not sync.full or sync.seq == baseline)


def _skipped_in(sync: Sync) -> Counter[str]:
    """A profile that leaves was skipped when it joined."""
    net: Counter[str] = Counter()
    for action, reasons in sync.skipped.items():
        if action is Action.REMOVE:
            net.subtract(reasons)
        else:
            net.update(reasons)
    return net
