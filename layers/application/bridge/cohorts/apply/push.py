"""Bring Braze to what the ledger says, some members at a time.

Intent is written before each call to Braze and confirmation after it, so that a crash,
a time-out or a lost answer in between leaves `unknown`, which is pushed again. What
Braze already holds is never sent: there, every write is billed, changed or not.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from bridge.cohorts.apply.context import Applied, Context
from bridge.cohorts.messages import CohortKey
from bridge.cohorts.ports import Change
from bridge.cohorts.rules.identifiers import Identifier
from bridge.cohorts.rules.membership import Confirmed, Member
from bridge.cohorts.rules.model import Cohort


def push(
    context: Context,
    key: CohortKey,
    cohort: Cohort,
    members: Sequence[Member],
    *,
    reassert: Callable[[Member], bool] = lambda _: False,
    is_replay: bool = False,
) -> Applied:
    """Save members, and push those whose membership Braze is not known to hold.

    Members who are in are pushed in any case where `reassert` says so. A quarantined
    member is pushed by a replay alone.
    """
    destination = context.route.destination()
    changes: list[tuple[Member, bool]] = []
    for member in members:
        present = member.is_in(cohort.baseline, cohort.aborted)
        confirmed = member.confirmed_at(destination)
        if confirmed is Confirmed.QUARANTINED and not is_replay:
            continue
        if confirmed is not Confirmed.of(present) or (present and reassert(member)):
            changes.append((member, present))
    if changes:
        _keep_apart(context, (member for member, _ in changes))
    now = context.now_ms()
    intents = {
        member.key: replace(
            member,
            confirmed=Confirmed.UNKNOWN,
            destination=destination,
            pushed_at=now,
        )
        for member, _ in changes
    }
    context.ledger.save(key, [intents.get(m.key, m) for m in members])
    if not changes:
        return Applied()
    reasons = context.route.push(
        key.cohort,
        cohort.first_name,
        [
            Change(Identifier.from_key(member.key), present)
            for member, present in changes
        ],
    )
    rejected = [reason for _, reason in zip(changes, reasons, strict=True) if reason]
    context.ledger.save(
        key,
        [
            replace(intents[member.key], confirmed=Confirmed.of(present))
            for member, present in changes
        ],
    )
    # Counted only now: until the confirmations are saved, all of it is pushed again.
    return Applied(len(changes) - len(rejected), Counter(rejected))


def _keep_apart(context: Context, members: Iterable[Member]) -> None:
    """Wait until no earlier write for one of the members can still be under way."""
    latest = max(member.pushed_at for member in members)
    gap = context.policy.write_gap_seconds
    wait = latest / 1000 + gap - context.clock()
    if 0 < wait <= gap:
        context.sleep(wait)
