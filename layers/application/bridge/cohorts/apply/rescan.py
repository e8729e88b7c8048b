"""Pass over all members of a cohort, and push what differs from Braze.

A scan goes shard by shard and is resumed by a continuation message in the same group.
Its order against later pages does not matter: each sync has versions of its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from bridge.cohorts.apply.context import Applied, Context
from bridge.cohorts.apply.publish import publish
from bridge.cohorts.apply.push import differs, push
from bridge.cohorts.messages import (
    CohortKey,
    MeasureRemovalMessage,
    Message,
    RescanMessage,
)
from bridge.cohorts.rules.membership import Confirmed, Member, prune
from bridge.cohorts.rules.model import Cohort

type Position = tuple[int, str]
"""Where the next step begins: the shard, and the key after which."""


def rescan(context: Context, message: RescanMessage) -> Applied:
    """Push every member whose effective membership is not the confirmed one."""
    context.need_time()
    key = message.key
    cohort = context.ledger.cohort(key)
    applied = publish(context, key, cohort)
    open_syncs = [sync.seq for sync in cohort.syncs]
    destination = context.route.destination()

    def is_due(member: Member) -> bool:
        return bool(message.days) and member.is_due(message.day, message.days)

    # Members of several steps and shards share a push, so that its calls are full.
    waiting: list[tuple[Position, Member]] = []
    shard, resume = message.shard, (message.shard, message.after)
    step = context.route.step
    for found, position in scan(context, key, message.shard, message.after):
        waiting += [
            ((shard, member.key), _pruned(member, cohort, open_syncs))
            for member in found
            if is_due(member) or _differs(member, cohort, destination)
        ]
        while len(waiting) >= step or (waiting and position is None):
            members = [member for _, member in waiting[:step]]
            applied += push(context, key, cohort, members, reassert=is_due)
            resume = waiting[len(members) - 1][0]
            del waiting[:step]
            if waiting and must_continue_later(context, message, resume):
                return applied
        if position:
            shard = position[0]
            resume = resume if waiting else position
            if must_continue_later(context, message, resume):
                return applied
    context.ledger.forget_aborted(key, message.aborted)
    return applied


def scan(
    context: Context, key: CohortKey, shard: int, after: str
) -> Iterator[tuple[Sequence[Member], Position | None]]:
    """The members step by step, each with the position of the next; None at the end."""
    ledger, step = context.ledger, context.route.step
    while shard < ledger.shards:
        found = ledger.scan(key, shard, after, step)
        if len(found) < step:
            shard, after = shard + 1, ""
        else:
            after = found[-1].key
        yield found, (shard, after) if shard < ledger.shards else None


def must_continue_later(
    context: Context,
    message: RescanMessage | MeasureRemovalMessage,
    position: Position,
) -> bool:
    """Whether time is short; a message of its own then carries the rest."""
    if context.has_time():
        return False
    shard, after = position
    rest: Message = message.model_copy(update={"shard": shard, "after": after})
    context.queue.send(rest)
    return True


def _pruned(member: Member, cohort: Cohort, open_syncs: list[int]) -> Member:
    profiles = {
        distinct_id: kept
        for distinct_id, versions in member.profiles.items()
        if (kept := prune(versions, cohort.baseline, cohort.aborted, open_syncs))
    }
    return replace(member, profiles=profiles)


def _differs(member: Member, cohort: Cohort, destination: str) -> bool:
    """Whether Braze holds something else, or the member a version of an aborted sync.

    Those versions have to go before the abort is forgotten. Others that can matter no
    more are dropped when the member is written for another reason. What Braze rejects
    for good is left to a reassertion.
    """
    present = member.is_in(cohort.baseline, cohort.aborted)
    is_open = member.confirmed is not Confirmed.QUARANTINED
    return (is_open and differs(member, present, destination)) or any(
        not cohort.aborted.isdisjoint(versions) for versions in member.profiles.values()
    )
