"""When all pages of a sync are in (pure)."""

from bridge.cohorts.rules.model import Cohort, Sync
from bridge.mixpanel.cohort_webhook import Action


def repeats(cohort: Cohort, later: int, earlier: int) -> bool:
    """Whether it tells anything that diff `later` says a change of `earlier` again.

    Only if both are diffs about which something is still open, and if all that counts
    in between has taken effect: it might take the change back.
    """
    syncs = {sync.seq: sync for sync in cohort.syncs}
    if not {later, earlier} <= set(syncs) or syncs[later].full or syncs[earlier].full:
        return False
    return all(
        (sync.is_processed and not sync.full) or not is_complete(sync, cohort)
        for seq, sync in syncs.items()
        if earlier < seq < later
    )


def is_complete(sync: Sync, cohort: Cohort) -> bool:
    """Whether all pages of the sync are in, as far as its sender lets us know.

    One that was begun anew never is: its sender gave it up. Else every action has all
    pages of its own, or the two together fill one common count. A sender that leaves
    empty calls out shows one action only: then the beginning of the next sync tells,
    unless the cohort ever sent an empty list. Without `page_info` a diff counts when
    the next sync begins and a full sync when that one is a diff, for Mixpanel goes over
    to diffs only after a success.
    """
    later = [other for other in cohort.syncs if other.seq > sync.seq]
    if any(other.restarts == sync.seq for other in later):
        return False
    begun = sync.seq < cohort.newest
    counts = _tells_counts(sync)
    if sync.full:
        followed = bool(later) and not later[0].full
        return _has_all_pages(sync) if counts else begun and followed
    if len(sync.accepted) == 1 and (cohort.sends_empty or not begun):
        return False
    return _has_all_pages(sync) if counts else begun


def _tells_counts(sync: Sync) -> bool:
    """Whether its sender says of each action how many pages there are."""
    return set(sync.accepted) <= set(sync.totals)


def _has_all_pages(sync: Sync) -> bool:
    own = all(len(sync.accepted[a]) >= sync.totals[a] for a in sync.accepted)
    return own or (len(sync.accepted) == 2 and _fills_common_count(sync))


def _fills_common_count(sync: Sync) -> bool:
    add, remove = sync.accepted[Action.ADD], sync.accepted[Action.REMOVE]
    totals = set(sync.totals.values())
    return len(totals) == 1 and len(add | remove) == len(add) + len(remove) == max(
        totals
    )
