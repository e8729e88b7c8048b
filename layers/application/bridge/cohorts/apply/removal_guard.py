"""Measure what a full sync would remove, and hold it if that is too much."""

from bridge.cohorts.apply.commit import commit
from bridge.cohorts.apply.context import Applied, Context
from bridge.cohorts.apply.rescan import must_continue_later, scan
from bridge.cohorts.cohort_messages import MeasureRemovalMessage, ReleaseMessage
from bridge.cohorts.rules.commit import guard_removal
from bridge.cohorts.rules.commit import release as release_sync


def measure_removal(context: Context, message: MeasureRemovalMessage) -> Applied:
    """Count who would leave, then move the baseline or hold the removal."""
    context.need_time()
    key = message.key
    cohort = context.ledger.cohort(key)
    if cohort.measuring != message.seq:
        return Applied()  # a newer full sync is measured, or this one is resolved
    stay, leave = message.stay, message.leave
    # Members whom the measured sync itself has added were not there to stay.
    before = cohort.aborted | {message.seq}
    for found, position in scan(context, key, message.shard, message.after):
        for member in found:
            if member.is_in(cohort.baseline, before):
                remains = member.is_in(message.seq, cohort.aborted)
                stay, leave = stay + remains, leave + (not remains)
        counted = message.model_copy(update={"stay": stay, "leave": leave})
        if position and must_continue_later(context, counted, position):
            return Applied()
    policy = context.policy
    limits = policy.max_removal_fraction, policy.guarded_members
    resolution = commit(
        context, key, lambda now: guard_removal(now, stay, leave, *limits)
    )
    return Applied(held_removals=int(bool(resolution.held_removal)))


def release(context: Context, message: ReleaseMessage) -> Applied:
    """Take a sync for the full list, if it is still the one an operator looked at.

    That is one whose removal is held, or a mislabelled one.
    """
    cohort = context.ledger.cohort(message.key)
    if message.seq in {cohort.held_removal, cohort.mislabelled}:
        commit(context, message.key, lambda now: release_sync(now, message.seq))
    return Applied()
