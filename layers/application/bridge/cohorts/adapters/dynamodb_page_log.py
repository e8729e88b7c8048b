"""The page log on DynamoDB: one table, on demand; `sync_items` describes its items.

What several writers write is conditional: calls of one cohort come at the same time.
"""

from collections.abc import Iterable, Mapping
from typing import override

from bridge.aws.dynamodb import Item, Table, Update
from bridge.cohorts.adapters.sync_items import (
    RETENTION_SECONDS,
    called_update,
    cohort_pk,
    gaps_at,
    head_update,
    numbers,
    page_of,
    page_sk,
    page_update,
    read_cohort,
    read_page,
    read_sync,
    sync_sk,
    sync_update,
)
from bridge.cohorts.messages import CohortKey, PageMessage
from bridge.cohorts.ports.page_log import PageLog, Registration
from bridge.cohorts.rules.gaps import usual_gap
from bridge.cohorts.rules.model import Cohort, Page, RegisteredPage, Sync


class DynamoPageLog(PageLog):
    """The page log in one table; `now` is in epoch seconds, for expiry alone."""

    def __init__(self, table: Table, now: float) -> None:
        self._table = table
        self._expires_at = int(now) + RETENTION_SECONDS

    @override
    def cohort(self, key: CohortKey, session: str | None = None) -> Cohort:
        sk = None if session is None else f"X#{session}"
        head, item = self._head_and(key, sk)
        return self._cohort(key, head, int(item["seq"]) if item else None)

    def _head_and(self, key: CohortKey, sk: str | None) -> tuple[Item, Item]:
        """The cohort's item and one more, empty where there is none."""
        wanted = [each for each in ("HEAD", sk) if each]
        items = self._table.get((cohort_pk(key), each) for each in wanted)
        found = {item["sk"]: item for item in items}
        return found.get("HEAD", {}), found.get(sk, {}) if sk else {}

    def _cohort(self, key: CohortKey, head: Item, also: int | None = None) -> Cohort:
        """The cohort with its open syncs, and with sync `also`."""
        seqs = numbers(head.get("open")) | ({also} if also else set())
        items = self._table.get((cohort_pk(key), sync_sk(seq)) for seq in seqs)
        syncs = sorted(map(read_sync, items), key=lambda sync: sync.seq)
        return read_cohort(head, tuple(syncs))

    @override
    def sync(self, key: CohortKey, seq: int) -> Sync | None:
        items = self._table.get([(cohort_pk(key), sync_sk(seq))])
        return read_sync(items[0]) if items else None

    def syncs(self, key: CohortKey) -> list[Sync]:
        """All syncs that have not expired, oldest first; the operator looks at them."""
        return [read_sync(item) for item in self._table.query_all(cohort_pk(key), "S#")]

    @override
    def digests(
        self, key: CohortKey, page: Page, seqs: Iterable[int]
    ) -> Mapping[int, str]:
        pk = cohort_pk(key)
        items = self._table.get(
            (pk, page_sk(seq, page.action, page.name)) for seq in seqs
        )
        return {int(item["seq"]): item["digest"] for item in items}

    @override
    def register(self, cohort: Cohort, registration: Registration) -> bool:
        key, placement = registration.key, registration.placement
        session_id = registration.page.session
        known = {sync.seq: sync for sync in cohort.syncs}.get(placement.seq)
        updates = [
            page_update(registration, self._expires_at),
            sync_update(registration, self._expires_at),
        ]
        if known is None or not known.has_session(session_id):
            session = Update(cohort_pk(key), f"X#{session_id}")
            session.assign("seq", placement.seq)
            session.assign("expires_at", self._expires_at)
            updates.append(session)
        if head := head_update(cohort, registration, known):
            updates.append(head)
        if placement.opens:
            gap_ms = usual_gap(gaps_at(cohort, placement.seq))
            updates.append(called_update(key, registration.now_ms, gap_ms))
        return self._table.transact(updates)

    @override
    def registered(self, key: CohortKey, seq: int) -> list[RegisteredPage]:
        items = self._table.query_all(cohort_pk(key), f"P#{seq:015d}#")
        return [read_page(item) for item in items]

    @override
    def mark_sent(self, message: PageMessage, at: int) -> None:
        page = page_of(message)
        page.assign("sent", True)
        page.assign("at", at)
        page.only_if_exists(True)
        self._table.update(page)

    @override
    def mark_called(self, key: CohortKey, seq: int, at: int) -> None:
        sync = Update(cohort_pk(key), sync_sk(seq))
        sync.assign("last_page_at", at)
        sync.only_if_exists(True)
        self._table.update(sync)

    @override
    def rename(self, key: CohortKey, name: str) -> None:
        self._assign(key, name=name)

    def _assign(self, key: CohortKey, **attributes: object) -> None:
        """Set attributes of the cohort's own item; the cohort may be new."""
        head = Update(cohort_pk(key), "HEAD")
        for attribute, value in attributes.items():
            head.assign(attribute, value)
        self._table.update(head)
