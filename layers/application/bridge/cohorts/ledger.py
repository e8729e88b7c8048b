"""The ledger on DynamoDB: one table, on demand.

    pk                          sk                      what
    COHORTS                     project#cohort          when it was called last
    C#project#cohort            HEAD                    newest, floor, undecided, dead
    C#project#cohort            S#seq                   a sync, its pages and counts
    C#project#cohort            P#seq#action#page       the content, when it came, sent
    C#project#cohort            X#session               the sync of a session
    M#project#cohort#shard      identifier              a member's versions, confirmed

Members are written without a condition: a cohort is one FIFO group, so there is one
writer. What the webhook writes too (HEAD, S, P) is conditional.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any
from urllib.parse import quote

from bridge.cohorts.membership import Confirmed, Member
from bridge.cohorts.message import CohortKey, PageMessage
from bridge.cohorts.ports import Known, Progress
from bridge.cohorts.syncs import (
    Cohort,
    Page,
    Placement,
    Registered,
    Sync,
    shows_empty_calls,
    shows_shared_session,
)
from bridge.cohorts.table import Item, Table, Update
from bridge.cohorts.verdict import Verdict
from bridge.mixpanel.cohort_webhook import Action

COHORTS = "COHORTS"
"""Partition of the list of all cohorts; a project has sixty at most."""

SHARDS = 16
"""Shards of a cohort: one DynamoDB partition takes a thousand writes a second."""

RETENTION_SECONDS = 30 * 86_400
"""Syncs, pages, and members who are out and confirmed, are kept so long."""

FORGOTTEN_SECONDS = 90 * 86_400
"""A cohort that was not called for so long leaves the list of all."""


class DynamoLedger:
    """Implements `ports.Ledger`; `now` is in epoch seconds, for expiry alone."""

    shards = SHARDS

    def __init__(self, table: Table, now: float) -> None:
        self._table = table
        self._now = int(now)
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
            first=int(head.get("first", 0)),
            newest=int(head.get("newest", 0)),
            floor=int(head.get("floor", 0)),
            weighed=int(head.get("weighed", 0)),
            held=int(head.get("held", 0)),
            revision=int(head.get("revision", 0)),
            name=head.get("name", ""),
            label=head.get("label", ""),
            destination=head.get("destination", ""),
            told=head.get("told", ""),
            syncs=tuple(sorted(map(_sync, items), key=lambda sync: sync.seq)),
            dead=_numbers(head.get("dead")),
            sends_empty=bool(head.get("sends_empty", False)),
            shares_sessions=bool(head.get("shares_sessions", False)),
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
        since: int = 0,
    ) -> bool:
        """See `ports.Ledger.register`."""
        known = {sync.seq: sync for sync in cohort.syncs}.get(placement.seq)
        updates = [
            self._page_update(key, placement.seq, page, now_ms),
            self._sync_update(key, page, placement, skipped, now_ms, since),
        ]
        if known is None or not known.has_session(page.session):
            session = Update(_cohort_pk(key), f"X#{page.session}")
            session.assign("seq", placement.seq)
            session.assign("expires_at", self._expires_at)
            updates.append(session)
        if head := _head_update(key, cohort, page, placement, known, name):
            updates.append(head)
        if placement.opens:
            updates.append(self._called(key, now_ms))
        return self._table.transact(updates)

    def _page_update(self, key: CohortKey, seq: int, page: Page, now_ms: int) -> Update:
        update = Update(_cohort_pk(key), _page_sk(seq, page.action, page.name))
        update.assign("seq", seq)
        update.assign("digest", page.digest)
        update.assign("at", now_ms)
        if page.total is not None:
            update.assign("total", page.total)
        update.assign("expires_at", self._expires_at)
        update.only_if_exists(False)
        return update

    def _sync_update(
        self,
        key: CohortKey,
        page: Page,
        placement: Placement,
        skipped: Mapping[str, int],
        now_ms: int,
        since: int,
    ) -> Update:
        update = Update(_cohort_pk(key), _sync_sk(placement.seq))
        update.assign("full", page.action is Action.FULL)
        update.assign("last_page_at", now_ms)
        update.assign("expires_at", self._expires_at)
        if page.total is not None:
            update.assign(f"total_{page.action}", page.total)
        update.add(f"sessions_{page.action}", {page.session})
        update.add(f"accepted_{page.action}", {page.name})
        for reason, number in skipped.items():
            update.add(f"skipped_{reason}", number)
        if placement.restarts:
            update.assign("restarts", placement.restarts)
            update.assign("since", since)
        update.only_if_exists(not placement.opens)
        return update

    def _called(self, key: CohortKey, now_ms: int) -> Update:
        called = Update(COHORTS, _cohort_pk(key)[2:])
        called.assign("project", key.project)
        called.assign("cohort", key.cohort)
        called.assign("called_at", now_ms)
        called.assign("expires_at", self._now + FORGOTTEN_SECONDS)
        called.add("syncs", 1)
        return called

    def cohorts(self) -> Iterator[Known]:
        """See `ports.Ledger.cohorts`."""
        for item in self._table.query_all(COHORTS):
            key = CohortKey(project=item["project"], cohort=item["cohort"])
            yield Known(
                key,
                int(item["called_at"]),
                int(item["syncs"]),
                int(item.get("reasserted", 0)),
            )

    def begin_day(self, key: CohortKey, day: int) -> None:
        """See `ports.Ledger.begin_day`."""
        known = Update(COHORTS, _cohort_pk(key)[2:])
        known.assign("reasserted", day)
        self._table.update(known)

    def rename(self, key: CohortKey, name: str) -> None:
        """See `ports.Ledger.rename`."""
        self._assign(key, "name", name)

    def registered(self, key: CohortKey, seq: int) -> list[Registered]:
        """See `ports.Ledger.registered`."""
        pages = []
        for item in self._table.query_all(_cohort_pk(key), f"P#{seq:015d}#"):
            _, _, action, name = item["sk"].split("#", 3)
            total = None if "total" not in item else int(item["total"])
            at, sent = int(item["at"]), bool(item.get("sent"))
            pages.append(
                Registered(Action(action), name, item["digest"], total, at, sent)
            )
        return pages

    def mark_sent(self, message: PageMessage, at: int) -> None:
        """See `ports.Ledger.mark_sent`."""
        page = _page(message)
        page.assign("sent", True)
        page.assign("at", at)
        self._table.update(page)

    def mark_called(self, key: CohortKey, seq: int, at: int) -> None:
        """See `ports.Ledger.mark_called`."""
        sync = Update(_cohort_pk(key), _sync_sk(seq))
        sync.assign("last_page_at", at)
        self._table.update(sync)

    def progress(self, message: PageMessage) -> Progress:
        """See `ports.Ledger.progress`."""
        sk = _page_sk(message.seq, message.action, message.page)
        found = self._table.get([(_cohort_pk(message.key), sk)])
        progress = found[0].get("progress", {}) if found else {}
        return Progress(**{name: int(value) for name, value in progress.items()})

    def save_progress(self, message: PageMessage, progress: Progress) -> None:
        """See `ports.Ledger.save_progress`."""
        page = _page(message)
        page.assign("progress", asdict(progress))
        self._table.update(page)

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
            "destination": member.destination,
            "pushed_at": member.pushed_at,
        }
        if member.confirmed is Confirmed.OUT:
            item["expires_at"] = self._expires_at
        return item

    def mark_repeats(self, key: CohortKey, repeats: Iterable[tuple[int, int]]) -> None:
        """See `ports.Ledger.mark_repeats`."""
        by_later: dict[int, set[int]] = {}
        for later, earlier in repeats:
            by_later.setdefault(later, set()).add(earlier)
        for later, earlier_seqs in by_later.items():
            repeating = Update(_cohort_pk(key), _sync_sk(later))
            repeating.add("repeats", earlier_seqs)
            repeating.only_if_exists(True)
            self._table.update(repeating)

    def mark_processed(self, message: PageMessage, skipped: Mapping[str, int]) -> None:
        """See `ports.Ledger.mark_processed`."""
        pk = _cohort_pk(message.key)
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
        head.assign("weighed", verdict.weighed)
        head.assign("held", verdict.held)
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

    def direct(self, key: CohortKey, destination: str) -> None:
        """See `ports.Ledger.direct`."""
        self._assign(key, "destination", destination)

    def told(self, key: CohortKey, name: str) -> None:
        """See `ports.Ledger.told`."""
        self._assign(key, "told", name)

    def _assign(self, key: CohortKey, attribute: str, value: str) -> None:
        head = Update(_cohort_pk(key), "HEAD")
        head.assign(attribute, value)
        self._table.update(head)


def _head_update(
    key: CohortKey,
    cohort: Cohort,
    page: Page,
    placement: Placement,
    sync: Sync | None,
    name: str,
) -> Update | None:
    """What a page changes at the cohort itself, if anything."""
    news: dict[str, Any] = {}
    if name not in {"", cohort.name}:
        news["name"] = name
    if not cohort.label and (name or cohort.name):
        news["label"] = name or cohort.name
    if shows_empty_calls(page) and not cohort.sends_empty:
        news["sends_empty"] = True
    if sync and not cohort.shares_sessions and shows_shared_session(sync, page):
        news["shares_sessions"] = True
    if placement.opens:
        news |= {"newest": placement.seq, "revision": cohort.revision + 1}
        news |= {} if cohort.first else {"first": placement.seq}
    if not news:
        return None
    head = Update(_cohort_pk(key), "HEAD")
    for attribute, value in news.items():
        head.assign(attribute, value)
    if placement.opens:
        head.add("undecided", {placement.seq})
        _only_as_read(head, cohort)
    return head


def _page(message: PageMessage) -> Update:
    sk = _page_sk(message.seq, message.action, message.page)
    return Update(_cohort_pk(message.key), sk)


def _only_as_read(head: Update, cohort: Cohort) -> None:
    if cohort.revision:
        head.only_if_equal("revision", cohort.revision)
    else:
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
        repeats=_numbers(item.get("repeats")),
        restarts=int(item.get("restarts", 0)),
        since=int(item.get("since", 0)),
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
        destination=item["destination"],
        pushed_at=int(item["pushed_at"]),
    )
