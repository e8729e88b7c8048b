"""What the syncs of a cohort amount to: floor, death, and the guard (pure).

Mixpanel diffs against its last *successful* sync and never repeats what a failed one
had said, so what a failed sync changed must be rolled back.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bridge.cohorts.rules.completeness import is_complete
from bridge.cohorts.rules.model import Cohort, Sync

MAX_DOUBT_SYNCS = 48
"""A day of syncs: time enough for a sender of empty lists to send one."""

WITNESSES = 3
"""Later syncs that can show by a repeat that a diff did not count. One that changes
nothing shows nothing, and its own last answer may be lost as well."""

MAX_ABORTS = 90
"""At a time: DynamoDB takes a hundred items in one transaction."""

GUARDED_MEMBERS = 1_000
"""Smaller cohorts may be emptied at once."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """What the pages so far amount to.

    `floor`, `weighed` and `held` are the cohort's from now on; `died` are newly dead
    syncs; `finished` those about which nothing can change any more. `settle` says that
    members have to be looked through, because some are in or out without having been
    named, `weigh` that they have to be counted first.
    """

    baseline: int
    measuring: int = 0
    held_removal: int = 0
    newly_aborted: frozenset[int] = frozenset()
    finished: frozenset[int] = frozenset()
    rescan: bool = False
    measure_removal: bool = False

    def changes(self, cohort: Cohort) -> bool:
        """Whether there is anything to write."""
        return (
            bool(self.rescan or self.measure_removal or self.finished)
            or self.measuring != cohort.measuring
            or self.held_removal != cohort.held_removal
        )


def resolve(cohort: Cohort, *, guarded: bool = False) -> Resolution:
    """Decide floor and death from the syncs that are complete and processed.

    Dead is a sync that was not complete when a later one became so, and a complete
    diff of which a later one repeats a change that nothing in between took back: a diff
    never repeats what its base holds, so Mixpanel did not count the earlier one. Both
    only once the later sync is processed too, lest a member be taken out and put back
    within one sync.

    With `guarded` a full sync that could take somebody out is weighed first, once.
    """
    complete = [s for s in cohort.syncs if not s.aborted and is_complete(s, cohort)]
    done = [s for s in complete if s.is_processed]
    last_done = done[-1].seq if done else 0
    full = max([cohort.baseline, *(s.seq for s in done if s.full)])
    waits = guarded and full not in {cohort.baseline, cohort.first}
    baseline = cohort.baseline if waits else full
    measure_removal = waits and full not in {cohort.measuring, cohort.held_removal}
    gone = {s.seq for s in cohort.syncs if s.aborted}
    newly_aborted = {
        s.seq
        for s in cohort.syncs
        if s.seq < last_done and s not in complete and s.seq not in gone
    }
    newly_aborted |= {
        earlier.seq
        for earlier in complete
        for later in done
        if earlier.seq in later.repeats
    }
    newly_aborted = set(sorted(newly_aborted)[:MAX_ABORTS])
    below = {s.seq for s in cohort.syncs if s.seq < baseline}
    return Resolution(
        baseline,
        measuring=full if measure_removal else cohort.measuring,
        held_removal=cohort.held_removal,
        newly_aborted=frozenset(newly_aborted),
        finished=frozenset(
            gone | newly_aborted | _superseded(complete, cohort) | below
        ),
        rescan=baseline != cohort.baseline or bool(newly_aborted),
        measure_removal=measure_removal,
    )


def guard_removal(
    cohort: Cohort, stay: int, leave: int, max_fraction: float
) -> Resolution:
    """Let the sweep of the weighed full sync go on, or hold it.

    Of those in the cohort now, `stay` remain and `leave` fall out. A sweep of more than
    `max_fraction` of a large cohort may be a fault of the sender, an empty or broken
    list: it is held until a second full sync says the same or an operator releases it.
    """
    members = stay + leave
    large = members > GUARDED_MEMBERS and leave > max_fraction * members
    if large and not cohort.held_removal:
        return Resolution(cohort.baseline, held_removal=cohort.measuring)
    return Resolution(cohort.measuring, rescan=True)


def release_removal(cohort: Cohort) -> Resolution:
    """An operator lets a held sweep go on."""
    return Resolution(cohort.held_removal, measuring=cohort.measuring, rescan=True)


def _superseded(complete: Sequence[Sync], cohort: Cohort) -> set[int]:
    """Syncs that enough later ones have followed.

    From the oldest on: a sync behind one that waits is still needed as its witness.
    """
    superseded: set[int] = set()
    for position, sync in enumerate(complete):
        witnesses = 1 if sync.full else WITNESSES
        told = complete[position : position + 1 + witnesses]
        forget_aborted = len(told) > witnesses and all(
            each.is_processed for each in told
        )
        if not forget_aborted or _in_doubt(sync, cohort):
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
    return one_action and not cohort.sends_empty and later < MAX_DOUBT_SYNCS
