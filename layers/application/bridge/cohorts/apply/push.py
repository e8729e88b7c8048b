"""Bring Braze to what the ledger says, some members at a time.

Whom a push is about to write is recorded before its first call to Braze, all in one
item, and what became of each member after the call that held it. A crash, a time-out or
a lost answer in between leaves the push open: its members become `unknown` when the
cohort's next message comes, and are pushed again. What Braze already holds is never
sent: there, every write is billed, changed or not. A rejection is no confirmation: the
member is pushed again by the next sync that meets it, or by a reassertion alone where
the reason lies in the identifier for good.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from threading import Lock

from bridge.cohorts.apply.context import Applied, Context
from bridge.cohorts.messages import CohortKey
from bridge.cohorts.ports.ledger import OpenPush
from bridge.cohorts.ports.route import Change, Members, Pushed
from bridge.cohorts.rules.counts import count_change, counted_as, is_rejected
from bridge.cohorts.rules.identifiers import Identifier, Kind
from bridge.cohorts.rules.membership import Confirmed, Member
from bridge.cohorts.rules.model import Cohort
from bridge.cohorts.rules.outcomes import outcome_of
from bridge.reasons import is_lasting


def push(
    context: Context,
    key: CohortKey,
    cohort: Cohort,
    members: Sequence[Member],
    applied: Applied,
    *,
    since: int = 0,
    reassert: Callable[[Member], bool] = lambda _: False,
    is_replay: bool = False,
) -> None:
    """Save members, and push those whose membership Braze is not known to hold.

    Members who are in are pushed in any case where `reassert` says so. A quarantined
    member is pushed by a replay alone. `applied` takes what was done, also where the
    push fails half-way; its outcomes are those of a sync that began at `since` (ms).
    """
    destination = context.route.destination()
    changes: list[tuple[Member, bool]] = []
    others: list[Member] = []
    for member in members:
        present = member.is_in(cohort.baseline, cohort.aborted)
        confirmed = member.confirmed_at(destination)
        is_open = is_replay or confirmed is not Confirmed.QUARANTINED
        reasserted = present and reassert(member)
        if is_open and (reasserted or differs(member, present, destination)):
            changes.append((member, present))
        else:
            is_out = is_known_to_be_out(member, present, destination)
            others.append(replace(member, rejected="") if is_out else member)
    context.ledger.save(key, others)
    before = {member.key: member for member in members}
    _take(applied, before, others, since)
    _forget_rejected(context, key, before, others)
    if not changes:
        return
    _keep_apart(context, (member for member, _ in changes))
    # Later than any push before, by which `recover` tells who was concluded.
    latest = max(member.pushed_at for member, _ in changes)
    begun = OpenPush(
        destination,
        max(context.now_ms(), latest + 1),
        tuple(member.key for member, _ in changes),
    )
    context.ledger.begin_push(key, begun)

    def members_of(identifiers: Sequence[Identifier]) -> Members:
        keys = [identifier.key for identifier in identifiers]
        found = context.ledger.members(key, keys).values()
        return [
            (Identifier.from_key(each.key), each.braze_id)
            for each in found
            if each.is_in(cohort.baseline, cohort.aborted)
            and not is_never_written(each)
        ]

    lock = Lock()

    def conclude(results: Mapping[int, Pushed]) -> None:
        concluded = [
            _concluded(*changes[position], begun, result)
            for position, result in results.items()
        ]
        # The list of the rejected comes first: nobody may be missing in it.
        rejected = {m.key: m.rejected for m in concluded if m.rejected}
        if not all(map(is_lasting, rejected.values())):
            context.ledger.set_rejected_in(key, cohort.newest)
        context.ledger.save_rejected(key, rejected, cohort.newest)
        context.ledger.save(key, concluded)
        _forget_rejected(context, key, before, concluded)
        # Counted only now: until the confirmations are saved, all is pushed again.
        with lock:
            applied.rejected.update(rejected.values())
            applied.pushed += len(concluded) - len(rejected)
            _take(applied, before, concluded, since)

    context.route.push(
        key.cohort,
        cohort.first_name,
        [
            Change(
                Identifier.from_key(member.key), present, member.braze_id, members_of
            )
            for member, present in changes
        ],
        conclude,
    )
    context.ledger.end_push(key, begun)


def recover(context: Context, key: CohortKey) -> None:
    """Make unknown whom a push names that never ended, but for those it concluded.

    It comes before anything else that is done to the cohort; safe to repeat.
    """
    for begun in context.ledger.open_pushes(key):
        known = context.ledger.members(key, begun.keys)
        named = (known.get(each, Member(each)) for each in begun.keys)
        open_members = (each for each in named if each.pushed_at != begun.at)
        context.ledger.save(key, [_unknown(each, begun) for each in open_members])
        context.ledger.end_push(key, begun)


def _unknown(member: Member, begun: OpenPush) -> Member:
    """The member while nobody knows whether the push has reached Braze."""
    return replace(
        member,
        confirmed=Confirmed.UNKNOWN,
        destination=begun.destination,
        pushed_at=begun.at,
        rejected="",
        counted=counted_as(member),
    )


def _forget_rejected(
    context: Context,
    key: CohortKey,
    before: Mapping[str, Member],
    after: Iterable[Member],
) -> None:
    """Take those off the list whom Braze does not reject any more."""
    context.ledger.forget_rejected(
        key,
        [
            member.key
            for member in after
            if is_rejected(before[member.key]) and not is_rejected(member)
        ],
    )


def _take(
    applied: Applied, before: Mapping[str, Member], after: Iterable[Member], since: int
) -> None:
    """Add what became of members to what the message has brought about."""
    for member in after:
        earlier = before[member.key]
        applied.counts.update(count_change(earlier, member))
        applied.outcomes[member.key] = outcome_of(earlier, member, since)


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


def is_never_written(member: Member) -> bool:
    """Whether it is a device that was not written, because its user is identified."""
    is_device = Identifier.from_key(member.key).kind is Kind.DEVICE
    return is_device and bool(member.rejected) and not member.braze_id


def is_known_to_be_out(member: Member, present: bool, destination: str) -> bool:
    """Whether a member is out, there as here; then no rejection matters any more."""
    return not present and member.confirmed_at(destination) is Confirmed.OUT


def _concluded(
    before: Member, present: bool, begun: OpenPush, result: Pushed
) -> Member:
    """The member after its call: a rejection leaves Braze with what it held before."""
    return replace(
        before,
        confirmed=before.confirmed_at(begun.destination)
        if result.reason
        else Confirmed.of(present),
        destination=begun.destination,
        pushed_at=begun.at,
        rejected=result.reason or "",
        # Who has left is taken back wherever it was: no profile is known any more.
        braze_id=before.braze_id if result.reason else result.braze_id,
        counted="",
    )


def _keep_apart(context: Context, members: Iterable[Member]) -> None:
    """Wait until no earlier write for one of the members can still be under way."""
    latest = max(member.pushed_at for member in members)
    gap = context.policy.write_gap_seconds
    wait = latest / 1000 + gap - context.clock()
    if 0 < wait <= gap:
        context.sleep(wait)
