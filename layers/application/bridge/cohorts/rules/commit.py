"""Which syncs are in force: the baseline, the aborted, and the removal guard (pure).

Mixpanel diffs against its last *successful* sync and never repeats what a failed one
stated, so the changes of a failed sync must be rolled back.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from bridge.cohorts.rules.completeness import is_complete
from bridge.cohorts.rules.model import FEEDING_MS, Cohort, Sync

MAX_DOUBT_SYNCS = 48
"""A day of syncs: time enough for a sender of empty lists to send one."""

WITNESSES = 3
"""Later syncs that can prove by a repetition that a diff failed. One that changes
nothing proves nothing, and its own last answer may be lost as well."""

MIN_LISTED = 50
"""Members: fewer who are in already may be the end of a failed diff."""

MAX_ABORTS = 90
"""Aborts in one resolution: a DynamoDB transaction takes a hundred items."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """What follows from the pages so far.

    `baseline`, `measuring`, `held_removal` and `mislabelled` are the cohort's from now
    on. `newly_aborted` are syncs that abort now; of the `finished` ones nothing can
    change any more. With `rescan` all members are compared with Braze, because some are
    in or out without having been named; with `measure_removal` those who would leave
    are counted first.
    """

    baseline: int
    measuring: int = 0
    held_removal: int = 0
    mislabelled: int = 0
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
            or self.mislabelled != cohort.mislabelled
        )


def resolve(cohort: Cohort, *, guarded: bool = False) -> Resolution:
    """Find baseline and aborts from the syncs that are complete and processed.

    A sync aborts if it was incomplete when a later one of its sender completed. A diff
    also aborts if a later one repeats a change that nothing in between took back: a
    diff never repeats what its base holds, so Mixpanel did not count the earlier one.
    Both happen only once the later sync is processed too, so that no member is taken
    out and put back within one sync.

    With `guarded`, the removals of a full sync are measured once before it becomes the
    baseline, unless it is the cohort's first sync. Meanwhile no sync below it aborts:
    whoever it does not list would be put back in for the time that takes. If its
    removal is held they abort then, and else they are below the baseline.
    """
    complete = [s for s in cohort.syncs if not s.aborted and is_complete(s, cohort)]
    processed = [s for s in complete if s.is_processed]
    full = max([cohort.baseline, *(s.seq for s in processed if s.full)])
    waits = guarded and full not in {cohort.baseline, cohort.first}
    baseline = cohort.baseline if waits else full
    measure = waits and full not in {cohort.measuring, cohort.held_removal}
    measuring = full if measure else cohort.measuring
    aborted_before = {s.seq for s in cohort.syncs if s.aborted}
    aborted = {
        s.seq
        for s in cohort.syncs
        if s not in complete
        and s.seq not in aborted_before
        and any(cohort.follows(later, s) for later in processed)
    }
    aborted |= {
        earlier.seq
        for earlier in complete
        for later in processed
        if earlier.seq in later.repeats
    }
    newest_full = max(baseline, measuring)
    aborted = set(sorted(s for s in aborted if s > newest_full)[:MAX_ABORTS])
    below = {s.seq for s in cohort.syncs if s.seq < baseline}
    superseded = _superseded(complete, cohort)
    return Resolution(
        baseline,
        measuring=measuring,
        held_removal=cohort.held_removal,
        mislabelled=_mislabelled(
            cohort, baseline, (s.seq for s in processed if _lists_all(s, complete))
        ),
        newly_aborted=frozenset(aborted),
        finished=frozenset(aborted_before | aborted | superseded | below),
        rescan=baseline != cohort.baseline or bool(aborted),
        measure_removal=measure,
    )


def guard_removal(
    cohort: Cohort, stay: int, leave: int, max_fraction: float, guarded_members: int
) -> Resolution:
    """Make the measured full sync the baseline, or hold its removal.

    Of the members who are in now, `stay` remain and `leave` fall out. To remove more
    than `max_fraction` of more than `guarded_members` may be a fault of the sender, an
    empty or truncated list: it is held until a second full sync agrees or an operator
    releases it.
    """
    members = stay + leave
    large = members > guarded_members and leave > max_fraction * members
    # Most profiles have lost their identifiers: whatever the size, that is a fault.
    suspect = any(s.is_suspect for s in cohort.syncs if s.seq == cohort.measuring)
    if (large or suspect) and not cohort.held_removal:
        held = replace(cohort, measuring=0, held_removal=cohort.measuring)
        return resolve(held, guarded=True)
    if not cohort.measuring:
        # It is held already, and there were more aborts than one resolution takes.
        return resolve(cohort, guarded=True)
    return release(cohort, cohort.measuring)


def release(cohort: Cohort, seq: int) -> Resolution:
    """Make sync `seq` the baseline.

    That is a full sync whose removals are few enough, or whose removal was held until
    an operator confirmed it, or a mislabelled one that an operator takes for full.
    """
    return Resolution(
        seq,
        measuring=cohort.measuring if cohort.measuring > seq else 0,
        held_removal=cohort.held_removal if cohort.held_removal > seq else 0,
        mislabelled=_mislabelled(cohort, seq),
        rescan=True,
    )


def _mislabelled(cohort: Cohort, baseline: int, found: Iterable[int] = ()) -> int:
    """The newest mislabelled sync, until a baseline has made good for it."""
    newest = max([cohort.mislabelled, *found])
    return newest if newest > baseline else 0


def _lists_all(sync: Sync, complete: Sequence[Sync]) -> bool:
    """Whether the adds of a diff look like the full list, by another name.

    Nearly all of them are in already, after Mixpanel has had no success for so long
    that its snapshot has expired. Its own example labels a first sync `add_members`.
    """
    earlier = max((s.last_page_at for s in complete if s.seq < sync.seq), default=0)
    return (
        sync.infers
        and not sync.full
        and sync.listed > MIN_LISTED
        and 10 * sync.already_in >= 9 * sync.listed
        and sync.seq - earlier >= FEEDING_MS
    )


def _superseded(complete: Sequence[Sync], cohort: Cohort) -> set[int]:
    """Syncs that enough later ones have followed.

    Taken from the oldest on: a sync behind one that waits is still needed as a witness.
    """
    superseded: set[int] = set()
    for position, sync in enumerate(complete):
        witnesses = _witnesses(sync)
        involved = complete[position : position + 1 + witnesses]
        is_followed = len(involved) > witnesses and all(
            s.is_processed for s in involved
        )
        if not is_followed or _in_doubt(sync, cohort):
            break
        superseded.add(sync.seq)
    return superseded


def _witnesses(sync: Sync) -> int:
    """How many later syncs have to be processed before nothing can change the sync."""
    if not sync.infers:
        return 0
    return 1 if sync.full else WITNESSES


def _in_doubt(sync: Sync, cohort: Cohort) -> bool:
    """Whether an empty list may yet prove that the sync was given up half-way.

    As long as its sender has sent no empty list, a diff of one action counts as
    complete. A sender that has sent none in so many syncs omits empty calls.
    """
    one_action = sync.infers and not sync.full and len(sync.accepted) == 1
    later = sum(other.seq > sync.seq for other in cohort.syncs)
    return one_action and not cohort.sends_empty and later < MAX_DOUBT_SYNCS
