"""Look through all members of a cohort: settle, weigh, assert again.

A scan goes shard by shard and is resumed by a continuation message in the same group.
Its order against later pages does not matter: each sync has versions of its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from bridge.cohorts.apply.push import MARGIN_SECONDS, Pushed, Pusher, confirmed
from bridge.cohorts.messages import (
    CohortKey,
    MeasureRemovalMessage,
    Message,
    ReleaseMessage,
    RescanMessage,
)
from bridge.cohorts.rules.commit import guard_removal, release_removal
from bridge.cohorts.rules.membership import Confirmed, Member, prune
from bridge.cohorts.rules.model import Cohort

type Place = tuple[int, str]
"""Where the next step begins: shard, and the key after which."""


def rescan(pusher: Pusher, message: RescanMessage) -> Pushed:
    """Push every member whose effective value is not the confirmed one."""
    pusher.need_time()
    done = Pushed()
    key = message.key
    cohort = pusher.ledger.cohort(key)
    pusher.address(key, cohort, done)
    undecided = [sync.seq for sync in cohort.syncs]
    destination = pusher.route.destination()

    def is_due(member: Member) -> bool:
        return bool(message.days) and member.is_due(message.day, message.days)

    for found, place in _scan(pusher, key, message.shard, message.after):
        changed = [
            _pruned(member, cohort, undecided)
            for member in found
            if is_due(member) or _differs(member, cohort, destination)
        ]
        pusher.apply(key, cohort, changed, done, is_due)
        if place and _must_stop(pusher, message, place):
            return done
    pusher.ledger.forget_aborted(key, message.aborted)
    return done


def measure_removal(pusher: Pusher, message: MeasureRemovalMessage) -> Pushed:
    """Count who would leave by a sweep, then let it go on or hold it."""
    pusher.need_time()
    done = Pushed()
    key = message.key
    cohort = pusher.ledger.cohort(key)
    if cohort.measuring != message.seq:
        return done  # a newer full sync is weighed, or it was decided before
    stay, leave = message.stay, message.leave
    # Whom the weighed sync itself has added was not there to stay.
    before = cohort.aborted | {message.seq}
    for found, place in _scan(pusher, key, message.shard, message.after):
        for member in found:
            if member.is_in(cohort.baseline, before):
                remains = member.is_in(message.seq, cohort.aborted)
                stay, leave = stay + remains, leave + (not remains)
        counted = message.model_copy(update={"stay": stay, "leave": leave})
        if place and _must_stop(pusher, counted, place):
            return done
    fraction = pusher.policy.max_removal_fraction
    resolution = pusher.decide(
        key, lambda now: guard_removal(now, stay, leave, fraction)
    )
    done.held_removals = int(bool(resolution.held_removal))
    return done


def release(pusher: Pusher, message: ReleaseMessage) -> Pushed:
    """Let a held sweep go on, if it is still the one that an operator looked at."""
    if pusher.ledger.cohort(message.key).held_removal == message.seq:
        pusher.decide(message.key, release_removal)
    return Pushed()


def _scan(
    pusher: Pusher, key: CohortKey, shard: int, after: str
) -> Iterator[tuple[Sequence[Member], Place | None]]:
    """The members step by step, each with the place of the next; None at the end."""
    ledger, step = pusher.ledger, pusher.route.step
    while shard < ledger.shards:
        found = ledger.scan(key, shard, after, step)
        if len(found) < step:
            shard, after = shard + 1, ""
        else:
            after = found[-1].key
        yield found, (shard, after) if shard < ledger.shards else None


def _must_stop(
    pusher: Pusher, message: RescanMessage | MeasureRemovalMessage, place: Place
) -> bool:
    """Whether time is short; the rest is then in a message of its own."""
    if pusher.time_left() >= MARGIN_SECONDS:
        return False
    shard, after = place
    rest: Message = message.model_copy(update={"shard": shard, "after": after})
    pusher.queue.send(rest)
    return True


def _pruned(member: Member, cohort: Cohort, undecided: list[int]) -> Member:
    profiles = {
        distinct_id: kept
        for distinct_id, versions in member.profiles.items()
        if (kept := prune(versions, cohort.baseline, cohort.aborted, undecided))
    }
    return replace(member, profiles=profiles)


def _differs(member: Member, cohort: Cohort, destination: str) -> bool:
    """Whether Braze holds something else, or the member a version of a dead sync.

    Those have to go before the sync is forgotten to be dead. Other versions that can
    matter no more are dropped when the member is written for a reason.
    """
    wanted = confirmed(member.is_in(cohort.baseline, cohort.aborted))
    held = member.held_by(destination)
    return held not in {wanted, Confirmed.QUARANTINED} or any(
        not cohort.aborted.isdisjoint(versions) for versions in member.profiles.values()
    )
