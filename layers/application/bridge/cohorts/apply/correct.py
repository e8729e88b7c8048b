"""Bring members to what they should be at Braze, whatever it has confirmed before.

An operator has compared Braze with the ledger and found that it holds something else.
"""

from contextlib import suppress
from dataclasses import replace

from bridge.chunking import by_count
from bridge.cohorts.apply.context import Applied, Context
from bridge.cohorts.apply.push import push
from bridge.cohorts.cohort_messages import CorrectMessage
from bridge.cohorts.rules.counts import counted_as, is_rejected
from bridge.cohorts.rules.membership import Confirmed, Member
from bridge.errors import BridgeError, RetryableError


def correct(context: Context, message: CorrectMessage) -> Applied:
    """Push the members of the list; safe to repeat.

    Those whom Braze rejects are left to the syncs. Raises `PermanentError` when the
    list is gone.
    """
    applied, key = Applied(), message.key
    cohort = context.ledger.cohort(key)
    listed = context.pages.get(key, message.digest)
    ids = [each.identifier.key for each in listed if each.identifier]
    try:
        for step in by_count(ids, context.route.step):
            context.need_time()
            found = context.ledger.members(key, step).values()
            # One that was pushed since the order was given needs no correction.
            doubted = [
                _doubted(member)
                for member in found
                if not is_rejected(member) and member.pushed_at < message.at
            ]
            push(context, key, cohort, doubted, applied)
    except RetryableError:
        with suppress(BridgeError):
            context.ledger.count(key, applied.counts)
        raise
    context.ledger.count(key, applied.counts)
    return applied


def _doubted(member: Member) -> Member:
    return replace(
        member, confirmed=Confirmed.UNKNOWN, counted=counted_as(member), rejected=""
    )
