"""The ledger on DynamoDB: one table, on demand.

    pk                          sk                      what
    C#project#cohort            HEAD                    newest, floor, undecided, dead
    C#project#cohort            S#seq                   a sync, its pages and counts
    C#project#cohort            P#seq#action#page       the content that was registered
    C#project#cohort            X#session               the sync of a session
    M#project#cohort#shard      identifier              a member's versions, confirmed

Members are written without a condition: a cohort is one FIFO group, so there is one
writer. What the webhook writes too (HEAD, S, P) is conditional.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from bridge.cohorts.membership import (
    Cohort,
    Confirmed,
    Member,
    Page,
    Placement,
    Sync,
    Verdict,
    shows_shared_session,
)
from bridge.cohorts.message import CohortKey, PageMessage
from bridge.cohorts.table import Item, Table, Update
from bridge.mixpanel.cohort_webhook import Action

SHARDS = 16
"""Shards of a cohort: one DynamoDB partition takes a thousand writes a second."""

RETENTION_SECONDS = 30 * 86_400
"""Syncs, pages, and members who are out and confirmed, are kept so long."""


class DynamoLedger:
    """Implements `ports.Ledger`; `now` is in epoch seconds, for expiry alone."""

    shards = SHARDS

    def __init__(self, table: Table, now: float) -> None:
        self._table = table
        self._expires_at = int(now) + RETENTION_SECONDS

    def cohort(self, key: CohortKey, session: str | None = None) -> Cohort:
        """See `ports.Ledger.cohort`."""
        pk = _cohort_pk(key)
        wanted = ["HEAD"] if session is None else ["HEAD", f"X#{session}"]
        found = {
            item["sk"]: item for item in self._table.get((pk, sk) for sk in wanted)
        }
        head = found.pop("HEAD", {})
        seqs = {*_numbers(head.get("undecided"))}
        seqs |= {int(item["seq"]) for item in found.values()}
        items = self._table.get((pk, _sync_sk(seq)) for seq in seqs)
        return Cohort(
            newest=int(head.get("newest", 0)),
            floor=int(head.get("floor", 0)),
            syncs=tuple(sorted(map(_sync, items), key=lambda sync: sync.seq)),
            dead=_numbers(head.get("dead")),
            sends_empty=bool(head.get("sends_empty", False)),
            shares_sessions=bool(head.get("shares_sessions", False)),
            name=head.get("name", ""),
            revision=int(head.get("revision", 0)),
        )

    def sync(self, key: CohortKey, seq: int) -> Sync | None:
        """See `ports.Ledger.sync`."""
        items = self._table.get([(_cohort_pk(key), _sync_sk(seq))])
        return _sync(items[0]) if items else None

    def skipped(self, key: CohortKey, seq: int) -> Mapping[str, int]:
        """Members of a sync without a match, by reason."""
        items = self._table.get([(_cohort_pk(key), _sync_sk(seq))])
        return {
            name.removeprefix("skipped_"): int(value)
            for name, value in (items[0] if items else {}).items()
            if name.startswith("skipped_")
        }

    def digests(
        self, key: CohortKey, page: Page, seqs: Iterable[int]
    ) -> Mapping[int, str]:
        """See `ports.Ledger.digests`."""
        pk = _cohort_pk(key)
        items = self._table.get(
            (pk, _page_sk(seq, page.action, page.name)) for seq in seqs
        )
        return {int(item["seq"]): item["digest"] for item in items}

    def members(self, key: CohortKey, ids: Sequence[str]) -> Mapping[str, Member]:
        """See `ports.Ledger.members`."""
        items = self._table.get((_member_pk(key, _shard(sk)), sk) for sk in ids)
        return {item["sk"]: _member(item) for item in items}

    def scan(
        self, key: CohortKey, shard: int, after: str, limit: int
    ) -> Sequence[Member]:
        """See `ports.Ledger.scan`."""
        items = self._table.query(_member_pk(key, shard), after, limit)
        return [_member(item) for item in items]

    def register(
        self,
        key: CohortKey,
        cohort: Cohort,
        page: Page,
        placement: Placement,
        *,
        name: str,
        skipped: Mapping[str, int],
        now_ms: int,
    ) -> bool:
        """See `ports.Ledger.register`."""
        pk = _cohort_pk(key)
        known = {sync.seq: sync for sync in cohort.syncs}
        seq, opens = placement.seq, placement.opens

        registered = Update(pk, _page_sk(seq, page.action, page.name))
        registered.assign("seq", seq)
        registered.assign("digest", page.digest)
        registered.assign("expires_at", self._expires_at)
        registered.only_if_exists(False)

        sync = Update(pk, _sync_sk(seq))
        sync.assign("full", page.action is Action.FULL)
        sync.assign("last_page_at", now_ms)
        sync.assign("expires_at", self._expires_at)
        if page.total is not None:
            sync.assign(f"total_{page.action}", page.total)
        sync.add(f"sessions_{page.action}", {page.session})
        sync.add(f"accepted_{page.action}", {page.name})
        for reason, number in skipped.items():
            sync.add(f"skipped_{reason}", number)
        if placement.restarts:
            sync.assign("restarts", placement.restarts)
        sync.only_if_exists(not opens)

        updates = [registered, sync]
        if opens or not known[seq].has_session(page.session):
            session = Update(pk, f"X#{page.session}")
            session.assign("seq", seq)
            session.assign("expires_at", self._expires_at)
            updates.append(session)
        empty = page.empty and not cohort.sends_empty
        shared = (
            not opens
            and not cohort.shares_sessions
            and shows_shared_session(known[seq], page)
        )
        if opens or name != cohort.name or empty or shared:
            head = Update(pk, "HEAD")
            head.assign("name", name)
            if empty:
                head.assign("sends_empty", True)
            if shared:
                head.assign("shares_sessions", True)
            if opens:
                head.assign("newest", seq)
                head.assign("revision", cohort.revision + 1)
                head.add("undecided", {seq})
                _only_as_read(head, cohort)
            updates.append(head)
        return self._table.transact(updates)

    def rename(self, key: CohortKey, name: str) -> None:
        """See `ports.Ledger.rename`."""
        head = Update(_cohort_pk(key), "HEAD")
        head.assign("name", name)
        self._table.update(head)

    def mark_again(self, key: CohortKey, seq: int, page: Page) -> None:
        """See `ports.Ledger.mark_again`."""
        sync = Update(_cohort_pk(key), _sync_sk(seq))
        sync.add(f"again_{page.action}", {page.name})
        self._table.update(sync)

    def save(self, key: CohortKey, members: Iterable[Member]) -> None:
        """See `ports.Ledger.save`."""
        self._table.put_all(self._member_item(key, member) for member in members)

    def _member_item(self, key: CohortKey, member: Member) -> Item:
        item: Item = {
            "pk": _member_pk(key, _shard(member.key)),
            "sk": member.key,
            "profiles": {
                distinct_id: {str(seq): said for seq, said in versions.items()}
                for distinct_id, versions in member.profiles.items()
            },
            "confirmed": member.confirmed.value,
        }
        if member.confirmed is Confirmed.OUT:
            item["expires_at"] = self._expires_at
        return item

    def mark_processed(
        self,
        message: PageMessage,
        repeats: Iterable[tuple[int, int]],
        skipped: Mapping[str, int],
    ) -> None:
        """See `ports.Ledger.mark_processed`."""
        pk = _cohort_pk(message.key)
        by_later: dict[int, set[int]] = {}
        for later, earlier in repeats:
            by_later.setdefault(later, set()).add(earlier)
        # Repeats first: the page is not processed before they are known.
        for later, earlier_seqs in by_later.items():
            repeating = Update(pk, _sync_sk(later))
            repeating.add("repeats", earlier_seqs)
            repeating.only_if_exists(True)
            self._table.update(repeating)
        processed = Update(pk, _sync_sk(message.seq))
        processed.add(f"processed_{message.action}", {message.page})
        for reason, number in skipped.items():
            processed.add(f"skipped_{reason}", number)
        processed.unless_contains(f"processed_{message.action}", message.page)
        self._table.update(processed)

    def advance(self, key: CohortKey, cohort: Cohort, verdict: Verdict) -> bool:
        """See `ports.Ledger.advance`."""
        pk = _cohort_pk(key)
        head = Update(pk, "HEAD")
        head.assign("floor", verdict.floor)
        head.assign("revision", cohort.revision + 1)
        if verdict.died:
            head.add("dead", set(verdict.died))
        if verdict.finished:
            head.delete("undecided", set(verdict.finished))
        _only_as_read(head, cohort)
        updates = [head]
        for seq in verdict.died:
            death = Update(pk, _sync_sk(seq))
            death.assign("dead", True)
            updates.append(death)
        return self._table.transact(updates)

    def settled(self, key: CohortKey, dead: Iterable[int]) -> None:
        """See `ports.Ledger.settled`."""
        if seqs := set(dead):
            head = Update(_cohort_pk(key), "HEAD")
            head.delete("dead", seqs)
            self._table.update(head)


def _only_as_read(head: Update, cohort: Cohort) -> None:
    if cohort.revision:
        head.only_if_equal("revision", cohort.revision)
    else:
        # HEAD may be there for its name alone.
        head.only_without("revision")


def _cohort_pk(key: CohortKey) -> str:
    return f"C#{quote(key.project, safe='')}#{quote(key.cohort, safe='')}"


def _member_pk(key: CohortKey, shard: int) -> str:
    return f"M#{_cohort_pk(key)[2:]}#{shard:02d}"


def _shard(member: str) -> int:
    return hashlib.sha256(member.encode()).digest()[0] % SHARDS


def _sync_sk(seq: int) -> str:
    return f"S#{seq:015d}"


def _page_sk(seq: int, action: Action, page: str) -> str:
    return f"P#{seq:015d}#{action}#{page}"


def _numbers(values: Any) -> frozenset[int]:
    return frozenset(map(int, values or ()))


def _sync(item: Item) -> Sync:
    return Sync(
        seq=int(item["sk"][2:]),
        full=item["full"],
        last_page_at=int(item["last_page_at"]),
        sessions=_by_action(item, "sessions"),
        totals={a: int(item[f"total_{a}"]) for a in Action if f"total_{a}" in item},
        accepted=_by_action(item, "accepted"),
        processed=_by_action(item, "processed"),
        again=_by_action(item, "again"),
        repeats=_numbers(item.get("repeats")),
        restarts=int(item.get("restarts", 0)),
        dead=item.get("dead", False),
    )


def _by_action(item: Item, what: str) -> dict[Action, frozenset[str]]:
    return {
        action: frozenset(item[f"{what}_{action}"])
        for action in Action
        if f"{what}_{action}" in item
    }


def _member(item: Item) -> Member:
    return Member(
        key=item["sk"],
        profiles={
            distinct_id: {int(seq): said for seq, said in versions.items()}
            for distinct_id, versions in item["profiles"].items()
        },
        confirmed=Confirmed(item["confirmed"]),
    )
