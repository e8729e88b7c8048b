"""Accept one page of a cohort sync: store it, register it, enqueue it, in that order.

All three precede the 2xx, because Mixpanel never sends a page again after one. Pages
are ordered here and not in the consumer, where a page that was retried would arrive out
of order.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass, replace

from bridge.cohorts.messages import CohortKey, message_of
from bridge.cohorts.pages import Listed, write_page
from bridge.cohorts.ports.page_log import PageLog, Registration
from bridge.cohorts.ports.page_store import PageStore
from bridge.cohorts.ports.queue import Queue
from bridge.cohorts.rules.model import Page, RegisteredPage
from bridge.cohorts.rules.placement import Placement, failed_run_until, inherited, place
from bridge.errors import RetryableError
from bridge.mixpanel.cohort_webhook import Action
from bridge.reasons import Reason

REGISTER_TRIES = 8
"""Parallel pages of one session race to open its sync; the losers try again."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What was accepted: members stored, members skipped by reason, the page's sync."""

    key: CohortKey
    seq: int
    repeated: bool
    matched: int
    skipped: Counter[str]


@dataclass(frozen=True, slots=True)
class Arrival:
    """One page as it arrived: its place in the session, members listed and skipped.

    `infers` and `sender` as in `Page`.
    """

    key: CohortKey
    name: str
    session: str
    action: Action
    number: int | None
    total: int | None
    listed: list[Listed]
    skipped: Counter[str]
    infers: bool = True
    sender: str = ""


def accept_page(
    arrival: Arrival, now_ms: int, *, ledger: PageLog, pages: PageStore, queue: Queue
) -> Accepted:
    """Accept a page of either protocol; raises as `webhook.accept`."""
    key = arrival.key
    content = write_page(arrival.listed)
    page = Page(
        arrival.session,
        arrival.action,
        arrival.number,
        arrival.total,
        digest=hashlib.sha256(content).hexdigest()[:32],
        empty=not (arrival.listed or arrival.skipped),
        infers=arrival.infers,
        sender=arrival.sender,
    )
    pages.put(key, page.digest, content)
    found = _register(ledger, arrival, page, now_ms)
    arrived = RegisteredPage(page.action, page.name, page.digest, page.total, now_ms)
    waiting = {(page.action, page.name): arrived}
    if found.restarts:
        for each in _inherit(ledger, arrival, found, now_ms):
            waiting.setdefault((each.action, each.name), each)
    for each in waiting.values():
        message = message_of(key, found.seq, each)
        queue.send(message)
        ledger.mark_sent(message, each.at)
    return Accepted(key, found.seq, found.repeats, len(arrival.listed), arrival.skipped)


@dataclass(frozen=True, slots=True)
class _Found:
    """The page's sync, whether it has the page already, and which sync it restarts."""

    seq: int
    repeats: bool
    restarts: int


def _register(ledger: PageLog, arrival: Arrival, page: Page, now_ms: int) -> _Found:
    key = arrival.key
    for _ in range(REGISTER_TRIES):
        cohort = ledger.cohort(key, page.session)
        known = {sync.seq: sync for sync in cohort.syncs}
        digests = ledger.digests(key, page, known)
        placement = place(cohort, page, digests, now_ms)
        seq, restarts = placement.seq, placement.restarts
        if not placement.opens:
            restarts = known[seq].restarts
            if digests.get(seq) == page.digest:
                ledger.mark_called(key, seq, now_ms)
                return _Found(seq, repeats=True, restarts=restarts)
        opens_anew = placement.opens and restarts
        registration = Registration(
            key,
            page,
            placement,
            now_ms,
            name=arrival.name,
            skipped=arrival.skipped,
            since=failed_run_until(ledger.registered(key, restarts), page)
            if opens_anew
            else 0,
        )
        if ledger.register(cohort, registration):
            return _Found(seq, repeats=False, restarts=restarts)
    raise RetryableError(
        Reason.LEDGER_CONTENTION, "too many pages at once for one cohort"
    )


def _inherit(
    ledger: PageLog, arrival: Arrival, found: _Found, now_ms: int
) -> list[RegisteredPage]:
    """Register the unchanged pages of a restarted sync; see `placement.inherited`.

    Returns all pages of the sync that have no message yet, also those that lack one
    because an earlier call crashed.
    """
    key = arrival.key
    sync = ledger.sync(key, found.seq)
    earlier = ledger.registered(key, found.restarts)
    came_at = {(each.action, each.name, each.digest): each.at for each in earlier}
    own = ledger.registered(key, found.seq)
    for each in inherited(sync, own, earlier) if sync else ():
        number = None if each.total is None else int(each.name)
        page = Page(
            arrival.session,
            each.action,
            number,
            each.total,
            each.digest,
            empty=False,
            sender=arrival.sender,
        )
        placement = Placement(found.seq, opens=False)
        ledger.register(
            ledger.cohort(key, arrival.session),
            Registration(key, page, placement, now_ms, name=arrival.name),
        )
    return [
        replace(each, at=came_at.get((each.action, each.name, each.digest), each.at))
        for each in ledger.registered(key, found.seq)
        if not each.sent
    ]
