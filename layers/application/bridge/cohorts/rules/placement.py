"""Which sync a page belongs to, and what a restart takes over (pure)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from bridge.cohorts.rules.completeness import counts_show_all_pages
from bridge.cohorts.rules.model import Cohort, Page, Pages, RegisteredPage, Sync
from bridge.mixpanel.cohort_webhook import Action

JOIN_WINDOW_MS = 600_000
"""A session joins a diff that lacks its action if the diff had a page in this time."""


@dataclass(frozen=True, slots=True)
class Placement:
    """The sync that a page belongs to, whether it opens it, and which it restarts."""

    seq: int
    opens: bool
    restarts: int = 0


def place(
    cohort: Cohort, page: Page, digests: Mapping[int, str], now_ms: int
) -> Placement:
    """Find the sync of a page by its session or by the action it lacks, or open one.

    `digests` gives the content that is registered for this page, by sync. The same page
    with other content, or with another total, is a restart under the same session id
    and opens a new sync. `now_ms` is the arrival at the API: only a server's clock
    orders syncs.
    """
    full = page.action is Action.FULL
    restarts = 0
    found = _of_session(cohort, page.session)
    if found is None:
        if joined := _joined(cohort, page, now_ms):
            return Placement(joined.seq, opens=False)
    elif found.full == full:
        if not _restarts(found, page, digests):
            return Placement(found.seq, opens=False)
        restarts = found.seq
    return Placement(max(now_ms, cohort.newest + 1), opens=True, restarts=restarts)


def _of_session(cohort: Cohort, session: str) -> Sync | None:
    """The newest sync of a session; a restarted one continues in its successor."""
    newest: Sync | None = None
    for sync in cohort.syncs:
        if sync.has_session(session) or (newest and sync.restarts == newest.seq):
            newest = sync
    return newest


def _joined(cohort: Cohort, page: Page, now_ms: int) -> Sync | None:
    """The newest diff of the sender, if the page is its other action.

    That is a sender whose two actions have sessions of their own.
    """
    if page.action is Action.FULL or cohort.shares_sessions or not page.infers:
        return None
    newest = next((s for s in reversed(cohort.syncs) if s.sender == page.sender), None)
    joins = (
        newest is not None
        and newest.seq == cohort.newest_of(page.sender)
        and not newest.full
        and page.action not in newest.accepted
        and now_ms - newest.last_page_at < JOIN_WINDOW_MS
    )
    return newest if joins else None


def _restarts(sync: Sync, page: Page, digests: Mapping[int, str]) -> bool:
    if digests.get(sync.seq, page.digest) != page.digest:
        return True
    return (
        page.total is not None
        and sync.totals.get(page.action, page.total) != page.total
    )


def failed_run_until(pages: Iterable[RegisteredPage], page: Page) -> int:
    """The earliest possible end of the failed run that `page` begins anew, in ms.

    `pages` are those of the failed sync. Whatever the page contradicts belongs to the
    failed run, and so does everything that arrived before it. Later pages may belong to
    the new run, whose first pages can be unchanged.
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


def inherited(
    sync: Sync, own: Iterable[RegisteredPage], earlier: Iterable[RegisteredPage]
) -> list[RegisteredPage]:
    """The pages of the failed run `earlier` that count for `sync` as well.

    `own` are the pages that `sync` has already.

    After a restart under the same session id, an unchanged page arrives again as it
    was. If it arrived before the first changed page, it was registered for the failed
    run. Such pages count once nothing else is missing: until then the changed ones may
    still come.
    """
    has = {(page.action, page.name) for page in own}
    lacking = [
        page
        for page in earlier
        if page.at >= sync.since
        and (page.action, page.name) not in has
        and page.total == sync.totals.get(page.action, page.total)
    ]
    if not lacking:
        return []
    totals = {p.action: p.total for p in lacking if p.total is not None}
    accepted = dict(sync.accepted)
    for page in lacking:
        accepted[page.action] = accepted.get(page.action, Pages()).plus(page.name)
    filled = replace(sync, totals={**totals, **sync.totals}, accepted=accepted)
    return lacking if counts_show_all_pages(filled) else []


def shows_empty_calls(page: Page) -> bool:
    """Whether the page proves that its sender makes calls with an empty list.

    A full sync of an empty cohort has to be such a call, whatever the sender does with
    diffs, so it proves nothing.
    """
    return page.empty and page.action is not Action.FULL


def shows_shared_session(sync: Sync, page: Page) -> bool:
    """Whether the page proves that its sender uses one session for both actions."""
    return any(
        page.session in sessions
        for action, sessions in sync.sessions.items()
        if action is not page.action
    )
