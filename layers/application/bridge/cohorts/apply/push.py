"""Bring Braze to what the ledger says, some members at a time.

Intent is written before each call to Braze and confirmation after it, so that a crash,
a time-out or a lost answer in between leaves `unknown`, which is pushed again. What
Braze already holds is never sent: there, every write is billed, changed or not. A
rejection is no confirmation: the member is pushed again by the next sync that meets it,
or by a reassertion alone where the reason lies in the identifier for good.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from bridge.cohorts.apply.context import Applied, Context
from bridge.cohorts.messages import CohortKey
from bridge.cohorts.ports import Change, Pushed, PushInterrupted
from bridge.cohorts.rules.identifiers import Identifier
from bridge.cohorts.rules.membership import Confirmed, Member
from bridge.cohorts.rules.model import Cohort
from bridge.reasons import is_lasting


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
        reasserted = present and reassert(member)
        if reasserted or differs(member, present, destination):
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
            rejected="",
        )
        for member, _ in changes
    }
    context.ledger.save(key, [intents.get(m.key, m) for m in members])
    if not changes:
        return Applied()

    def has_member(identifiers: Sequence[Identifier]) -> bool:
        keys = [identifier.key for identifier in identifiers]
        found = context.ledger.members(key, keys).values()
        return any(each.is_in(cohort.baseline, cohort.aborted) for each in found)

    def conclude(results: Sequence[Pushed]) -> None:
        concluded = zip(changes, results, strict=False)
        context.ledger.save(
            key,
            [
                _concluded(intents[member.key], member, present, result)
                for (member, present), result in concluded
            ],
        )

    try:
        results = context.route.push(
            key.cohort,
            cohort.first_name,
            [
                Change(
                    Identifier.from_key(member.key),
                    present,
                    member.braze_id,
                    has_member,
                )
                for member, present in changes
            ],
        )
    except PushInterrupted as interrupted:
        # Look-ups of devices can outlast an invocation; what was done is not repeated.
        conclude(interrupted.pushed)
        raise
    conclude(results)
    # Counted only now: until the confirmations are saved, all of it is pushed again.
    rejected = Counter(result.reason for result in results if result.reason)
    return Applied(len(changes) - rejected.total(), rejected)


def differs(member: Member, present: bool, destination: str) -> bool:
    """Whether Braze holds something else, and may take a push that corrects it.

    A device that was written is taken back even where Braze has since rejected that it
    be added again, because its user was identified.
    """
    may_be_taken = not is_lasting(member.rejected) or (
        bool(member.braze_id) and not present
    )
    return may_be_taken and (
        member.confirmed_at(destination) is not Confirmed.of(present)
    )


def _concluded(intent: Member, before: Member, present: bool, result: Pushed) -> Member:
    """The member after its call: a rejection leaves Braze with what it held before."""
    intent = replace(intent, braze_id=result.braze_id or intent.braze_id)
    if result.reason is None:
        return replace(intent, confirmed=Confirmed.of(present))
    return replace(
        intent,
        confirmed=before.confirmed_at(intent.destination),
        rejected=result.reason,
    )


def _keep_apart(context: Context, members: Iterable[Member]) -> None:
    """Wait until no earlier write for one of the members can still be under way."""
    latest = max(member.pushed_at for member in members)
    gap = context.policy.write_gap_seconds
    wait = latest / 1000 + gap - context.clock()
    if 0 < wait <= gap:
        context.sleep(wait)
