"""The rules by which the Braze cohort comes to equal the Mixpanel cohort (pure).

A cohort sync is a transaction: its pages are the statements, "every page answered 2xx"
is the commit. Mixpanel diffs against its last *successful* sync and never repeats what
a failed one had said, so what a failed sync changed must be rolled back, and only a
ledger of versions, not of in and out, can do that. docs/architecture.md has the story.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise, takewhile

from bridge.mixpanel.cohort_webhook import Action

JOIN_WINDOW_MS = 600_000
"""A session joins a diff that lacks its action if that had a page in this time."""


DOUBT_SYNCS = 48
"""A day of syncs: time enough for a sender of empty lists to send one."""


@dataclass(frozen=True, slots=True)
class Page:
    """One call of the sender; `number` and `total` are None without `page_info`."""

    session: str
    action: Action
    number: int | None
    total: int | None
    digest: str
    empty: bool

    @property
    def name(self) -> str:
        """What tells the page from the others of its sync and action."""
        return self.digest if self.number is None else str(self.number)


@dataclass(frozen=True, slots=True)
class Sync:
    """What is known of one sync; `seq` orders the syncs of a cohort.

    `repeats` holds the earlier syncs of which this one said a change again. `again` are
    pages that came once more unchanged, and `restarts` is the sync that this one began
    anew under the same session id.
    """

    seq: int
    full: bool
    last_page_at: int
    sessions: Mapping[Action, frozenset[str]] = field(default_factory=dict)
    totals: Mapping[Action, int] = field(default_factory=dict)
    accepted: Mapping[Action, frozenset[str]] = field(default_factory=dict)
    processed: Mapping[Action, frozenset[str]] = field(default_factory=dict)
    again: Mapping[Action, frozenset[str]] = field(default_factory=dict)
    repeats: frozenset[int] = frozenset()
    restarts: int = 0
    dead: bool = False

    def has_session(self, session: str) -> bool:
        """Whether a page of the sync came under this session id."""
        return any(session in sessions for sessions in self.sessions.values())

    @property
    def is_processed(self) -> bool:
        """Whether every accepted page has taken effect."""
        return all(
            pages <= self.processed.get(action, frozenset())
            for action, pages in self.accepted.items()
        )


@dataclass(frozen=True, slots=True)
class Cohort:
    """The syncs that still matter, oldest first, and what is decided of the others.

    `newest` is the newest sync of all, `floor` the full sync in force, `dead` the
    syncs whose roll-back is still to be carried out. `sends_empty` and
    `shares_sessions` are habits of the sender that were seen at least once: a call
    with an empty list, one session for both actions. `revision` guards the writing.
    """

    newest: int = 0
    floor: int = 0
    syncs: tuple[Sync, ...] = ()
    dead: frozenset[int] = frozenset()
    sends_empty: bool = False
    shares_sessions: bool = False
    name: str = ""
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Placement:
    """The sync that a page belongs to, whether it opens it, and which it restarts."""

    seq: int
    opens: bool
    restarts: int = 0


def place(
    cohort: Cohort, page: Page, digests: Mapping[int, str], now_ms: int
) -> Placement:
    """Find the sync of a page, by session, by what it lacks, or open a new one.

    `digests` says, by sync, what was registered for this very page. The same page with
    another content, or another total, is a restart under the same session id, hence a
    new sync. `now_ms` is the arrival at the API: only a server's clock orders syncs.
    """
    full = page.action is Action.FULL
    restarts = 0
    for sync in reversed(cohort.syncs):
        if sync.has_session(page.session):
            if sync.full == full:
                if not _restarts(sync, page, digests):
                    return Placement(sync.seq, opens=False)
                restarts = sync.seq
            break
    else:
        if cohort.syncs and not full:
            newest = cohort.syncs[-1]
            joins = (
                newest.seq == cohort.newest
                and not newest.full
                and not cohort.shares_sessions
                and page.action not in newest.accepted
                and now_ms - newest.last_page_at < JOIN_WINDOW_MS
            )
            if joins:
                return Placement(newest.seq, opens=False)
    return Placement(max(now_ms, cohort.newest + 1), opens=True, restarts=restarts)


def inherited(sync: Sync, earlier: Sync) -> dict[Action, frozenset[str]]:
    """Pages of the sync begun anew that stand for the same pages of `sync`.

    After a restart under the same session id, a page that did not change comes again as
    it was: if that was before the first changed page, it was taken for a repeat. Such
    pages are counted when nothing else is wanting, for until then the changed ones may
    still come.
    """
    none: frozenset[str] = frozenset()
    totals = {**earlier.totals, **sync.totals}
    lacking = {
        action: earlier.again.get(action, none) - sync.accepted.get(action, none)
        for action in {*sync.accepted, *earlier.again}
    }
    fills = all(
        len(sync.accepted.get(action, none)) + len(pages) >= totals.get(action, 0)
        for action, pages in lacking.items()
    )
    return lacking if fills else {}


def shows_shared_session(sync: Sync, page: Page) -> bool:
    """Whether the page shows that its sender uses one session for both actions."""
    return any(
        page.session in sessions
        for action, sessions in sync.sessions.items()
        if action is not page.action
    )


def _restarts(sync: Sync, page: Page, digests: Mapping[int, str]) -> bool:
    if digests.get(sync.seq, page.digest) != page.digest:
        return True
    return (
        page.total is not None
        and sync.totals.get(page.action, page.total) != page.total
    )


def is_complete(sync: Sync, cohort: Cohort) -> bool:
    """Whether all pages of the sync are in, as far as its sender lets us know.

    Every action has all pages of its own, or the two together fill one common count.
    A sender that leaves empty calls out shows one action only: then the beginning of
    the next sync tells, unless the cohort ever sent an empty list. Without `page_info`
    a diff counts when the next sync begins and a full sync when that one is a diff,
    for Mixpanel goes over to diffs only after a success.
    """
    later = [other for other in cohort.syncs if other.seq > sync.seq]
    begun = sync.seq < cohort.newest
    if set(sync.accepted) - set(sync.totals):
        return begun and not (sync.full and (not later or later[0].full))
    own = all(len(sync.accepted[a]) >= sync.totals[a] for a in sync.accepted)
    if sync.full:
        return own
    if len(sync.accepted) == 2:
        return own or _fills_common_count(sync)
    return own and begun and not cohort.sends_empty


def _in_doubt(sync: Sync, cohort: Cohort) -> bool:
    """Whether an empty list may yet show that the sync died half-way.

    As long as its sender has sent none, a diff of one action counts as complete. One
    that has sent none in so many syncs leaves empty calls out.
    """
    one_action = not sync.full and len(sync.accepted) == 1 and bool(sync.totals)
    later = sum(other.seq > sync.seq for other in cohort.syncs)
    return one_action and not cohort.sends_empty and later < DOUBT_SYNCS


def _fills_common_count(sync: Sync) -> bool:
    add, remove = sync.accepted[Action.ADD], sync.accepted[Action.REMOVE]
    totals = set(sync.totals.values())
    return len(totals) == 1 and len(add | remove) == len(add) + len(remove) == max(
        totals
    )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the pages so far amount to.

    `floor` is the full sync in force; `died` are newly dead syncs; `finished` those
    about which nothing can change any more. `settle` says that members have to be
    looked through, because some are in or out without having been named.
    """

    floor: int
    died: frozenset[int]
    finished: frozenset[int]
    settle: bool


def judge(cohort: Cohort) -> Verdict:
    """Decide floor and death from the syncs that are complete and processed.

    Dead is a sync that was not complete when a later one became so, and a complete
    diff of which the next complete diff repeats a change: a diff never repeats what
    its base holds, so Mixpanel did not count the earlier one. Both only once the later
    sync is processed too, lest a member be taken out and put back within one sync.
    """
    complete = [s for s in cohort.syncs if not s.dead and is_complete(s, cohort)]
    done = [s for s in complete if s.is_processed]
    last_done = done[-1].seq if done else 0
    floor = max([cohort.floor, *(s.seq for s in done if s.full)])
    gone = {s.seq for s in cohort.syncs if s.dead}
    died = {
        s.seq
        for s in cohort.syncs
        if s.seq < last_done and s not in complete and s.seq not in gone
    }
    died |= {
        earlier.seq
        for earlier, later in pairwise(complete)
        if later.is_processed
        and not (earlier.full or later.full)
        and earlier.seq in later.repeats
    }
    # From the oldest on: a sync behind one that waits is still needed as its next.
    superseded = {
        earlier.seq
        for earlier, _ in takewhile(
            lambda pair: (
                pair[0].is_processed
                and pair[1].is_processed
                and not _in_doubt(pair[0], cohort)
            ),
            pairwise(complete),
        )
    }
    below = {s.seq for s in cohort.syncs if s.seq < floor}
    return Verdict(
        floor,
        frozenset(died),
        frozenset(gone | died | superseded | below),
        settle=floor != cohort.floor or bool(died),
    )


class Confirmed(StrEnum):
    """What Braze is known to hold of a member; `UNKNOWN` around every call."""

    IN = "in"
    OUT = "out"
    UNKNOWN = "unknown"


type Versions = Mapping[int, bool]
"""What each sync said of one Mixpanel profile: seq → is a member."""


@dataclass(frozen=True, slots=True)
class Member:
    """One Braze user in one cohort; several Mixpanel profiles may stand behind it."""

    key: str
    profiles: Mapping[str, Versions] = field(default_factory=dict)
    confirmed: Confirmed = Confirmed.UNKNOWN

    def is_in(self, floor: int, dead: frozenset[int]) -> bool:
        """Effective membership: some profile's newest version in force says in."""
        return any(_newest(v, floor, dead) for v in self.profiles.values())


def _newest(versions: Versions, floor: int, dead: frozenset[int]) -> bool:
    counted = [seq for seq in versions if seq >= floor and seq not in dead]
    return versions[max(counted)] if counted else False


def touch(
    versions: Versions, seq: int, present: bool
) -> tuple[dict[int, bool], set[tuple[int, int]]]:
    """Write what sync `seq` says; also the pairs (later, earlier) that say the same.

    An older sync never overwrites a newer one's version, whenever its page comes, and
    a page seen twice changes nothing: each sync has a version of its own.
    """
    same = {other for other, said in versions.items() if said == present} - {seq}
    pairs = {(max(seq, other), min(seq, other)) for other in same}
    return dict(versions) | {seq: present}, pairs


def prune(
    versions: Versions, floor: int, dead: Iterable[int], undecided: Iterable[int]
) -> dict[int, bool]:
    """Drop versions that can never matter again.

    What is below the floor or dead counts for nothing; of what the decided syncs said
    only the newest can be in force.
    """
    dead, undecided = frozenset(dead), frozenset(undecided)
    kept = {s: said for s, said in versions.items() if s >= floor and s not in dead}
    newest_decided = max((seq for seq in kept if seq not in undecided), default=0)
    return {seq: said for seq, said in kept.items() if seq >= newest_decided}
