"""Pass over all members of a cohort, and push what differs from Braze.

A scan goes shard by shard and is resumed by a continuation message in the same group.
Its order against later pages does not matter: each sync has versions of its own.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

from bridge.cohorts.apply.context import Applied, Context
from bridge.cohorts.apply.publish import publish
from bridge.cohorts.apply.push import differs, is_known_to_be_out, push
from bridge.cohorts.cohort_messages import MeasureRemovalMessage, Message, RescanMessage
from bridge.cohorts.messages import CohortKey
from bridge.cohorts.rules.counts import counted_as
from bridge.cohorts.rules.membership import Confirmed, Member, prune
from bridge.cohorts.rules.model import Cohort
from bridge.cohorts.rules.outcomes import ReportRow
from bridge.digest import digest
from bridge.errors import BridgeError, RetryableError

type Position = tuple[int, str]
"""Where the next step begins: the shard, and the key after which."""


class Mark(NamedTuple):
    """A position, and the counts of the members up to there as they were found."""

    position: Position
    counts: Mapping[str, int]


def rescan(context: Context, message: RescanMessage) -> Applied:
    """Push every member whose effective membership is not the confirmed one.

    All members pass by, so they are counted anew.
    """
    context.need_time()
    key, applied = message.key, Applied()
    cohort = context.ledger.cohort(key)
    applied.rejected += publish(context, key, cohort)
    if message.counted is None:
        message = message.model_copy(update={"counted": cohort.counted})
    try:
        counts = _rescan(context, message, cohort, applied)
    except RetryableError:
        # What was pushed is not pushed again. Should this fail as well, the error in
        # hand matters more.
        with suppress(BridgeError):
            context.ledger.count(key, applied.counts)
        raise
    context.ledger.count(key, applied.counts)
    if counts is not None:
        context.ledger.recount(key, counts, _counted(message, applied))
        context.ledger.forget_aborted(key, message.aborted)
    return applied


def _rescan(
    context: Context, message: RescanMessage, cohort: Cohort, applied: Applied
) -> Mapping[str, int] | None:
    """The counts of all members; None where a message of its own carries the rest."""
    open_syncs = [sync.seq for sync in cohort.syncs]
    destination = context.route.destination()

    def is_due(member: Member) -> bool:
        return bool(message.days) and member.is_due(message.day, message.days)

    def goes_on_later(mark: Mark) -> bool:
        rest = message.model_copy(
            update={
                "counts": _after(mark.counts, applied),
                "counted": _counted(message, applied),
            }
        )
        return must_continue_later(context, rest, mark.position)

    # Members of several steps and shards share a push, so that its calls are full.
    waiting: list[tuple[Mark, Member]] = []
    shard, step, counts = message.shard, context.route.step, Counter(message.counts)
    resume = Mark((message.shard, message.after), message.counts)
    for found, position in scan(context, message.key, message.shard, message.after):
        for member in found:
            counts[counted_as(member)] += 1
            if is_due(member) or _differs(member, cohort, destination):
                mark = Mark((shard, member.key), dict(counts))
                waiting.append((mark, member))
        while len(waiting) >= step or (waiting and (not position or context.is_late())):
            members = [member for _, member in waiting[:step]]
            pruned = [_pruned(member, cohort, open_syncs) for member in members]
            push(context, message.key, cohort, pruned, applied, reassert=is_due)
            _report(context, message, members, applied)
            resume = waiting[len(members) - 1][0]
            del waiting[:step]
            if waiting and goes_on_later(resume):
                return None
        if position:
            shard = position[0]
            resume = resume if waiting else Mark(position, dict(counts))
            if goes_on_later(resume):
                return None
    return _after(counts, applied)


def _after(found: Mapping[str, int], applied: Applied) -> dict[str, int]:
    """The counts of members as they are once the pushes have changed some."""
    counts = Counter(found)
    counts.update(applied.counts)
    return {name: number for name, number in counts.items() if name and number}


def _counted(message: RescanMessage, applied: Applied) -> int:
    """How often the cohort's counts have been changed, if by this rescan alone."""
    return (message.counted or 0) + any(applied.counts.values())


def _report(
    context: Context,
    message: RescanMessage,
    members: Sequence[Member],
    applied: Applied,
) -> None:
    """Report members who were pushed, with the sync that the rescan belongs to."""
    if message.days:
        sync = f"reassertion-{message.day}"
    elif message.destination:
        sync = "destination"
    else:
        sync = str(max([message.baseline, *message.aborted]))
    first = members[0].key
    context.reports.write(
        message.key,
        sync,
        f"rescan-{digest(first)[:12]}",
        [
            ReportRow(member.key, distinct_id, *applied.outcomes[member.key])
            for member in members
            for distinct_id in member.profiles or [""]
        ],
    )


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
    return (
        (is_open and differs(member, present, destination))
        or (bool(member.rejected) and is_known_to_be_out(member, present, destination))
        or any(
            not cohort.aborted.isdisjoint(versions)
            for versions in member.profiles.values()
        )
    )
