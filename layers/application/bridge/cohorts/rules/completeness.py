"""When all pages of a sync have arrived, as far as its sender lets us know (pure)."""

from functools import cache

from bridge.cohorts.rules.model import Cohort, Sync, checksum
from bridge.mixpanel.cohort_webhook import Action


def is_complete(sync: Sync, cohort: Cohort) -> bool:
    """Whether all pages of the sync are in.

    A restarted sync never is: its sender gave it up. Otherwise every action has all its
    own pages, or the two actions together fill one common count. A sender that omits
    empty calls shows one action only; the beginning of the next sync then completes the
    diff, unless the cohort ever received an empty list. Without `page_info` a diff is
    complete when the next sync begins, and a full sync when the next one is a diff:
    Mixpanel moves to diffs only after a success. A call of the cohort import waits for
    nothing.
    """
    if not sync.infers:
        return True
    later = [other for other in cohort.syncs if cohort.follows(other, sync)]
    if any(other.restarts == sync.seq for other in later):
        return False
    has_next = sync.seq < cohort.newest_of(sync.sender)
    if sync.full:
        if has_counts(sync):
            return _has_all_pages(sync)
        return has_next and bool(later) and not later[0].full
    if len(sync.accepted) == 1 and (cohort.sends_empty or not has_next):
        return False
    return _has_all_pages(sync) if has_counts(sync) else has_next


def repetition_counts(cohort: Cohort, later: int, earlier: int) -> bool:
    """Whether a change that diff `later` repeats proves that diff `earlier` failed.

    It does if both are open diffs and everything in force between them has been
    applied: a sync in between might take the change back. A sender of the cohort import
    may repeat what it likes, and so may one connection what another has stated.
    """
    if cohort.has_two_senders:
        return False

    syncs = {sync.seq: sync for sync in cohort.syncs}
    if not {later, earlier} <= set(syncs) or syncs[later].full or syncs[earlier].full:
        return False
    if not (syncs[later].infers and syncs[earlier].infers):
        return False
    return all(
        (sync.is_processed and not sync.full) or not is_complete(sync, cohort)
        for seq, sync in syncs.items()
        if earlier < seq < later
    )


def has_counts(sync: Sync) -> bool:
    """Whether the sender gives the number of pages of each action it has shown."""
    return set(sync.accepted) <= set(sync.totals)


def counts_show_all_pages(sync: Sync) -> bool:
    """Whether the sender gives its numbers of pages, and all of those are in."""
    return has_counts(sync) and _has_all_pages(sync)


def _has_all_pages(sync: Sync) -> bool:
    own = all(sync.accepted[a].number >= sync.totals[a] for a in sync.accepted)
    return own or (len(sync.accepted) == 2 and _fills_common_count(sync))


def _fills_common_count(sync: Sync) -> bool:
    add, remove = sync.accepted[Action.ADD], sync.accepted[Action.REMOVE]
    totals = set(sync.totals.values())
    if len(totals) > 1 or add.number + remove.number != max(totals):
        return False
    return add.checksum + remove.checksum in _checksums_of_all(max(totals))


@cache
def _checksums_of_all(total: int) -> tuple[int, int]:
    """The checksums of all pages, counted from 1 and from 0."""
    from_1 = sum(checksum(str(number)) for number in range(1, total + 1))
    return from_1, from_1 - checksum(str(total)) + checksum("0")
