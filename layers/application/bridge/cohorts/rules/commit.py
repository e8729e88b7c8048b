"""What the syncs of a cohort amount to: floor, death, and the guard (pure).

Mixpanel diffs against its last *successful* sync and never repeats what a failed one
had said, so what a failed sync changed must be rolled back.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bridge.cohorts.rules.completeness import is_complete
from bridge.cohorts.rules.model import Cohort, Sync

DOUBT_SYNCS = 48
"""A day of syncs: time enough for a sender of empty lists to send one."""

WITNESSES = 3
"""Later syncs that can show by a repeat that a diff did not count. One that changes
nothing shows nothing, and its own last answer may be lost as well."""

MAX_DEATHS = 90
"""At a time: DynamoDB takes a hundred items in one transaction."""

GUARDED_MEMBERS = 1_000
"""Smaller cohorts may be emptied at once."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the pages so far amount to.

    `floor`, `weighed` and `held` are the cohort's from now on; `died` are newly dead
    syncs; `finished` those about which nothing can change any more. `settle` says that
    members have to be looked through, because some are in or out without having been
    named, `weigh` that they have to be counted first.
    """

    floor: int
    weighed: int = 0
    held: int = 0
    died: frozenset[int] = frozenset()
    finished: frozenset[int] = frozenset()
    settle: bool = False
    weigh: bool = False

    def changes(self, cohort: Cohort) -> bool:
        """Whether there is anything to write."""
        return (
            bool(self.settle or self.weigh or self.finished)
            or self.weighed != cohort.weighed
            or self.held != cohort.held
        )


def judge(cohort: Cohort, *, guarded: bool = False) -> Verdict:
    """Decide floor and death from the syncs that are complete and processed.

    Dead is a sync that was not complete when a later one became so, and a complete
    diff of which a later one repeats a change that nothing in between took back: a diff
    never repeats what its base holds, so Mixpanel did not count the earlier one. Both
    only once the later sync is processed too, lest a member be taken out and put back
    within one sync.

    With `guarded` a full sync that could take somebody out is weighed first, once.
    """
    complete = [s for s in cohort.syncs if not s.dead and is_complete(s, cohort)]
    done = [s for s in complete if s.is_processed]
    last_done = done[-1].seq if done else 0
    full = max([cohort.floor, *(s.seq for s in done if s.full)])
    waits = guarded and full not in {cohort.floor, cohort.first}
    floor = cohort.floor if waits else full
    weigh = waits and full not in {cohort.weighed, cohort.held}
    gone = {s.seq for s in cohort.syncs if s.dead}
    died = {
        s.seq
        for s in cohort.syncs
        if s.seq < last_done and s not in complete and s.seq not in gone
    }
    died |= {
        earlier.seq
        for earlier in complete
        for later in done
        if earlier.seq in later.repeats
    }
    died = set(sorted(died)[:MAX_DEATHS])
    below = {s.seq for s in cohort.syncs if s.seq < floor}
    return Verdict(
        floor,
        weighed=full if weigh else cohort.weighed,
        held=cohort.held,
        died=frozenset(died),
        finished=frozenset(gone | died | _superseded(complete, cohort) | below),
        settle=floor != cohort.floor or bool(died),
        weigh=weigh,
    )


def weighed(cohort: Cohort, stay: int, leave: int, max_fraction: float) -> Verdict:
    """Let the sweep of the weighed full sync go on, or hold it.

    Of those in the cohort now, `stay` remain and `leave` fall out. A sweep of more than
    `max_fraction` of a large cohort may be a fault of the sender, an empty or broken
    list: it is held until a second full sync says the same or an operator releases it.
    """
    members = stay + leave
    large = members > GUARDED_MEMBERS and leave > max_fraction * members
    if large and not cohort.held:
        return Verdict(cohort.floor, held=cohort.weighed)
    return Verdict(cohort.weighed, settle=True)


def released(cohort: Cohort) -> Verdict:
    """An operator lets a held sweep go on."""
    return Verdict(cohort.held, weighed=cohort.weighed, settle=True)


def _superseded(complete: Sequence[Sync], cohort: Cohort) -> set[int]:
    """Syncs that enough later ones have followed.

    From the oldest on: a sync behind one that waits is still needed as its witness.
    """
    superseded: set[int] = set()
    for position, sync in enumerate(complete):
        witnesses = 1 if sync.full else WITNESSES
        told = complete[position : position + 1 + witnesses]
        settled = len(told) > witnesses and all(each.is_processed for each in told)
        if not settled or _in_doubt(sync, cohort):
            break
        superseded.add(sync.seq)
    return superseded


def _in_doubt(sync: Sync, cohort: Cohort) -> bool:
    """Whether an empty list may yet show that the sync died half-way.

    As long as its sender has sent none, a diff of one action counts as complete. One
    that has sent none in so many syncs leaves empty calls out.
    """
    one_action = not sync.full and len(sync.accepted) == 1
    later = sum(other.seq > sync.seq for other in cohort.syncs)
    return one_action and not cohort.sends_empty and later < DOUBT_SYNCS
