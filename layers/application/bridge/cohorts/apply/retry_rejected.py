"""Push again whom Braze rejected for a reason that passes."""

from bridge.cohorts.apply.context import Applied, Context
from bridge.cohorts.apply.push import push
from bridge.cohorts.cohort_messages import RetryRejectedMessage
from bridge.reasons import is_lasting


def retry_rejected(context: Context, message: RetryRejectedMessage) -> Applied:
    """Push those once more whom Braze rejected before this sync; safe to repeat.

    `push` leaves alone those whose reason lasts.
    """
    applied, key, step = Applied(), message.key, context.route.step
    context.need_time()
    cohort = context.ledger.cohort(key)
    after, newest = message.after, 0
    while listed := context.ledger.rejected(key, after, step):
        if not context.has_time():
            context.queue.send(message.model_copy(update={"after": after}))
            context.ledger.count(key, applied.counts)
            return applied
        due = [member for member, seq in listed.items() if seq < message.seq]
        members = context.ledger.members(key, due)
        push(context, key, cohort, [*members.values()], applied)
        newest = max([newest, *(seq for seq in listed.values() if seq >= message.seq)])
        after = max(listed)
    # Else somebody was rejected again, which the push has recorded.
    if cohort.rejected_in < message.seq and all(map(is_lasting, applied.rejected)):
        context.ledger.set_rejected_in(key, newest)
    context.ledger.count(key, applied.counts)
    return applied
