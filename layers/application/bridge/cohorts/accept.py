"""Accept one page of a cohort sync: keep it, register it, enqueue it, in that order.

All three stand before the 2xx, because Mixpanel never sends a page again that was
answered so. Order and completeness are learnt here and not in the consumer: a page that
takes a detour through a retry would otherwise turn up in the wrong place.
"""

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, replace

from bridge.cohorts.identity import Identifier, Matched, Source, resolve
from bridge.cohorts.membership import Page, Placement, inherited, place
from bridge.cohorts.message import CohortKey, PageMessage
from bridge.cohorts.ports import Ledger, PageStore, Queue
from bridge.errors import PermanentError, RetryableError
from bridge.mixpanel.cohort_webhook import Postback

REGISTER_TRIES = 8
"""Parallel pages of one session race to open its sync; the losers look again."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of a page: members kept, members skipped by reason, its sync."""

    key: CohortKey
    seq: int
    repeated: bool
    matched: int
    skipped: Counter[str]


def accept(
    postback: Postback,
    now_ms: int,
    *,
    sources: tuple[Source, ...],
    ledger: Ledger,
    pages: PageStore,
    queue: Queue,
) -> Accepted:
    """Take one page; `now_ms` is its arrival at the API in milliseconds.

    Raises `RetryableError` when the page is not yet safe: the sender has to come again.
    """
    parameters = postback.parameters
    key = CohortKey(
        project=parameters.mixpanel_project_id, cohort=parameters.mixpanel_cohort_id
    )
    resolved = [resolve(member, sources) for member in postback.members]
    matched = [found for found in resolved if isinstance(found, Matched)]
    skipped = Counter(r.reason for r in resolved if not isinstance(r, Matched))
    info = parameters.page_info
    page = Page(
        session=parameters.mixpanel_session_id,
        action=postback.action,
        number=info.page_count if info else None,
        total=info.total_pages if info else None,
        digest="",
        empty=not postback.members,
    )
    return accept_page(
        key,
        parameters.mixpanel_cohort_name,
        page,
        matched,
        skipped,
        now_ms,
        ledger=ledger,
        pages=pages,
        queue=queue,
    )


def accept_page(
    key: CohortKey,
    name: str,
    page: Page,
    matched: list[Matched],
    skipped: Counter[str],
    now_ms: int,
    *,
    ledger: Ledger,
    pages: PageStore,
    queue: Queue,
) -> Accepted:
    """Take a page whose members are resolved; its digest is made here.

    Raises as `accept`.
    """
    content = write_page(matched)
    page = replace(page, digest=hashlib.sha256(content).hexdigest()[:32])
    pages.put(key, page.digest, content)
    seq, repeated = _register(ledger, key, page, name, skipped, now_ms)
    sent = [page, *_inherit(ledger, key, page, name, seq, now_ms)]
    for each in sent:
        queue.send(
            PageMessage(
                key=key, seq=seq, action=each.action, page=each.name, digest=each.digest
            )
        )
    return Accepted(key, seq, repeated, len(matched), skipped)


def _register(
    ledger: Ledger,
    key: CohortKey,
    page: Page,
    name: str,
    skipped: Counter[str],
    now_ms: int,
) -> tuple[int, bool]:
    """The sync of the page, and whether the page was registered before."""
    for _ in range(REGISTER_TRIES):
        cohort = ledger.cohort(key, page.session)
        digests = ledger.digests(key, page, [sync.seq for sync in cohort.syncs])
        placement = place(cohort, page, digests, now_ms)
        if not placement.opens and digests.get(placement.seq) == page.digest:
            ledger.mark_again(key, placement.seq, page)
            return placement.seq, True
        written = ledger.register(
            key,
            cohort,
            page,
            placement,
            name=name,
            skipped=skipped,
            now_ms=now_ms,
        )
        if written:
            return placement.seq, False
    raise RetryableError("ledger_contention", "too many pages at once for one cohort")


def _inherit(
    ledger: Ledger, key: CohortKey, page: Page, name: str, seq: int, now_ms: int
) -> list[Page]:
    """Register the unchanged pages of a restarted sync; see membership.inherited."""
    sync = ledger.sync(key, seq)
    earlier = ledger.sync(key, sync.restarts) if sync and sync.restarts else None
    if not (sync and earlier):
        return []
    pages: list[Page] = []
    for action, numbers in inherited(sync, earlier).items():
        for number in sorted(numbers):
            total = sync.totals.get(action, earlier.totals.get(action))
            named = int(number) if number.isdecimal() else None
            old = Page(page.session, action, named, total, "", False)
            digest = ledger.digests(key, old, [earlier.seq])[earlier.seq]
            again = replace(old, digest=digest)
            placement = Placement(seq, opens=False)
            cohort = ledger.cohort(key, page.session)
            ledger.register(
                key, cohort, again, placement, name=name, skipped={}, now_ms=now_ms
            )
            pages.append(again)
    return pages


def write_page(members: list[Matched]) -> bytes:
    """Only identifiers are kept of what Mixpanel sent."""
    rows = [[member.distinct_id, member.identifier.key] for member in members]
    return json.dumps(rows, separators=(",", ":")).encode()


def read_page(content: bytes) -> list[Matched]:
    """The inverse of `write_page`; raises `PermanentError`."""
    try:
        return [
            Matched(distinct_id, Identifier.from_key(key))
            for distinct_id, key in json.loads(content)
        ]
    except (ValueError, TypeError):
        raise PermanentError("page_unreadable", "a stored page is damaged") from None
