"""Which sync a page belongs to, and when all pages of a sync are in (pure).

A cohort sync is a transaction: its pages are the statements, "every page answered 2xx"
is the commit. docs/architecture.md has the story.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from bridge.mixpanel.cohort_webhook import Action

JOIN_WINDOW_MS = 600_000
"""A session joins a diff that lacks its action if that had a page in this time."""


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
        return self.digest[:12] if self.number is None else str(self.number)


@dataclass(frozen=True, slots=True)
class Sync:
    """What is known of one sync; `seq` orders the syncs of a cohort.

    `repeats` holds the earlier syncs of which this one said a change again. `restarts`
    is the sync that this one began anew under the same session id; what came of that
    one until `since` (ms) belongs to the run that failed.
    """

    seq: int
    full: bool
    last_page_at: int
    sessions: Mapping[Action, frozenset[str]] = field(default_factory=dict)
    totals: Mapping[Action, int] = field(default_factory=dict)
    accepted: Mapping[Action, frozenset[str]] = field(default_factory=dict)
    processed: Mapping[Action, frozenset[str]] = field(default_factory=dict)
    repeats: frozenset[int] = frozenset()
    restarts: int = 0
    since: int = 0
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
class Registered:
    """A page as it stands in the ledger; `at` is when it came last, in ms.

    `sent` says that its message is in the queue.
    """

    action: Action
    name: str
    digest: str
    total: int | None
    at: int
    sent: bool = False


@dataclass(frozen=True, slots=True)
class Cohort:
    """The syncs that still matter, oldest first, and what is decided of the others.

    `first` and `newest` are the first and the newest sync of all, `floor` the full sync
    in force, `weighed` the one whose sweep is being weighed against the guard and
    `held` the one whose sweep it holds back. `dead` are the syncs whose roll-back is
    still to be carried out. `sends_empty` and `shares_sessions` are habits of the
    sender that were seen at least once: a call with an empty list, one session for both
    actions. `name` is Mixpanel's; `label` is the first one and does not change with
    it. `destination` and `told` are where members were last pushed to and the name that
    was given there. `revision` guards the writing.
    """

    first: int = 0
    newest: int = 0
    floor: int = 0
    weighed: int = 0
    held: int = 0
    syncs: tuple[Sync, ...] = ()
    dead: frozenset[int] = frozenset()
    sends_empty: bool = False
    shares_sessions: bool = False
    name: str = ""
    label: str = ""
    destination: str = ""
    told: str = ""
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
    found = _of_session(cohort, page.session)
    if found is None:
        if _joins_newest(cohort, page, now_ms):
            return Placement(cohort.newest, opens=False)
    elif found.full == full:
        if not _restarts(found, page, digests):
            return Placement(found.seq, opens=False)
        restarts = found.seq
    return Placement(max(now_ms, cohort.newest + 1), opens=True, restarts=restarts)


def _of_session(cohort: Cohort, session: str) -> Sync | None:
    """The newest sync of a session; what was begun anew goes on in its successor."""
    chain: Sync | None = None
    for sync in cohort.syncs:
        if sync.has_session(session) or (chain and sync.restarts == chain.seq):
            chain = sync
    return chain


def _joins_newest(cohort: Cohort, page: Page, now_ms: int) -> bool:
    """Whether the page is the other action of the newest diff, in its own session."""
    if page.action is Action.FULL or not cohort.syncs or cohort.shares_sessions:
        return False
    newest = cohort.syncs[-1]
    return (
        newest.seq == cohort.newest
        and not newest.full
        and page.action not in newest.accepted
        and now_ms - newest.last_page_at < JOIN_WINDOW_MS
    )


def _restarts(sync: Sync, page: Page, digests: Mapping[int, str]) -> bool:
    if digests.get(sync.seq, page.digest) != page.digest:
        return True
    return (
        page.total is not None
        and sync.totals.get(page.action, page.total) != page.total
    )


def failed_until(pages: Iterable[Registered], page: Page) -> int:
    """When the failed run ended at the earliest, if `page` begins it anew (ms).

    `pages` are those of the failed sync. What the page contradicts belongs to the run
    that failed, and so does what came before that; what came after it may belong to the
    new run, whose first pages can be as they were.
    """
    return max(
        (
            each.at
            for each in pages
            if each.action is page.action
            and (
                each.total != page.total
                or (each.name == page.name and each.digest != page.digest)
            )
        ),
        default=0,
    )


def inherited(sync: Sync, earlier: Iterable[Registered]) -> list[Registered]:
    """Pages of the failed run `earlier` that stand for the same pages of `sync`.

    After a restart under the same session id, a page that did not change comes again as
    it was: if that was before the first changed page, it was taken for one of the
    failed run. Such pages count when nothing else is wanting, for until then the
    changed ones may still come.
    """
    lacking = [
        page
        for page in earlier
        if page.at >= sync.since
        and page.name not in sync.accepted.get(page.action, ())
        and page.total == sync.totals.get(page.action, page.total)
    ]
    if not lacking:
        return []
    totals = {p.action: p.total for p in lacking if p.total is not None}
    accepted = dict(sync.accepted)
    for page in lacking:
        accepted[page.action] = accepted.get(page.action, frozenset()) | {page.name}
    filled = replace(sync, totals={**totals, **sync.totals}, accepted=accepted)
    return lacking if _tells_counts(filled) and _has_all_pages(filled) else []


def shows_empty_calls(page: Page) -> bool:
    """Whether the page shows that its sender makes calls that name nobody.

    A full sync of nobody has to be one, whatever its sender does with diffs.
    """
    return page.empty and page.action is not Action.FULL


def repeats(cohort: Cohort, later: int, earlier: int) -> bool:
    """Whether it tells anything that diff `later` says a change of `earlier` again.

    Only if both are diffs about which something is still open, and if all that counts
    in between has taken effect: it might take the change back.
    """
    syncs = {sync.seq: sync for sync in cohort.syncs}
    if not {later, earlier} <= set(syncs) or syncs[later].full or syncs[earlier].full:
        return False
    return all(
        (sync.is_processed and not sync.full) or not is_complete(sync, cohort)
        for seq, sync in syncs.items()
        if earlier < seq < later
    )


def shows_shared_session(sync: Sync, page: Page) -> bool:
    """Whether the page shows that its sender uses one session for both actions."""
    return any(
        page.session in sessions
        for action, sessions in sync.sessions.items()
        if action is not page.action
    )


def is_complete(sync: Sync, cohort: Cohort) -> bool:
    """Whether all pages of the sync are in, as far as its sender lets us know.

    One that was begun anew never is: its sender gave it up. Else every action has all
    pages of its own, or the two together fill one common count. A sender that leaves
    empty calls out shows one action only: then the beginning of the next sync tells,
    unless the cohort ever sent an empty list. Without `page_info` a diff counts when
    the next sync begins and a full sync when that one is a diff, for Mixpanel goes over
    to diffs only after a success.
    """
    later = [other for other in cohort.syncs if other.seq > sync.seq]
    if any(other.restarts == sync.seq for other in later):
        return False
    begun = sync.seq < cohort.newest
    counts = _tells_counts(sync)
    if sync.full:
        followed = bool(later) and not later[0].full
        return _has_all_pages(sync) if counts else begun and followed
    if len(sync.accepted) == 1 and (cohort.sends_empty or not begun):
        return False
    return _has_all_pages(sync) if counts else begun


def _tells_counts(sync: Sync) -> bool:
    """Whether its sender says of each action how many pages there are."""
    return set(sync.accepted) <= set(sync.totals)


def _has_all_pages(sync: Sync) -> bool:
    own = all(len(sync.accepted[a]) >= sync.totals[a] for a in sync.accepted)
    return own or (len(sync.accepted) == 2 and _fills_common_count(sync))


def _fills_common_count(sync: Sync) -> bool:
    add, remove = sync.accepted[Action.ADD], sync.accepted[Action.REMOVE]
    totals = set(sync.totals.values())
    return len(totals) == 1 and len(add | remove) == len(add) + len(remove) == max(
        totals
    )
