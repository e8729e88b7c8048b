"""The ports in memory, for the model of the rules and for tests: no I/O, no clock."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import override

from bridge.cohorts.adapters.sync_items import gaps_at
from bridge.cohorts.cohort_messages import Message
from bridge.cohorts.messages import CohortKey, PageMessage
from bridge.cohorts.pages import Listed, read_page
from bridge.cohorts.ports.ledger import (
    IndexedCohort,
    Ledger,
    OpenPush,
    PageProgress,
    Tally,
)
from bridge.cohorts.ports.page_log import Registration
from bridge.cohorts.ports.page_store import PageStore
from bridge.cohorts.ports.queue import Queue
from bridge.cohorts.ports.reports import Reports
from bridge.cohorts.rules.commit import Resolution
from bridge.cohorts.rules.counts import skipped_after
from bridge.cohorts.rules.gaps import usual_gap
from bridge.cohorts.rules.membership import Member, Place, Places
from bridge.cohorts.rules.model import Cohort, Page, Pages, RegisteredPage, Sync
from bridge.cohorts.rules.outcomes import ReportRow
from bridge.cohorts.rules.placement import (
    shows_empty_calls,
    shows_shared_session,
)
from bridge.errors import PermanentError
from bridge.mixpanel.cohort_webhook import Action


@dataclass
class _Stored:
    head: Cohort = field(default_factory=Cohort)
    syncs: dict[int, Sync] = field(default_factory=dict)
    open: set[int] = field(default_factory=set)
    sessions: dict[str, int] = field(default_factory=dict)
    pages: dict[tuple[int, Action, str], RegisteredPage] = field(default_factory=dict)
    last_processed: dict[int, tuple[int, Action, str]] = field(default_factory=dict)
    progress: dict[tuple[int, Action, str], PageProgress] = field(default_factory=dict)
    called_at: int = 0
    opened: int = 0
    day: int = 0
    pushes: dict[tuple[int, str], OpenPush] = field(default_factory=dict)
    members: dict[str, Member] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)


class MemoryLedger(Ledger):
    """The ledger, in one shard."""

    shards = 1

    def __init__(self) -> None:
        self._cohorts: dict[CohortKey, _Stored] = {}
        self.between_writes: Callable[[], None] = lambda: None
        """Called where one step of the ledger is two writes; it may raise."""

    def _at(self, key: CohortKey) -> _Stored:
        if key not in self._cohorts:
            self._cohorts[key] = _Stored()
        return self._cohorts[key]

    @override
    def cohort(self, key: CohortKey, session: str | None = None) -> Cohort:
        at = self._at(key)
        seqs = set(at.open)
        if session in at.sessions:
            seqs.add(at.sessions[session])
        return replace(at.head, syncs=tuple(at.syncs[seq] for seq in sorted(seqs)))

    @override
    def cohort_and_page(
        self, message: PageMessage
    ) -> tuple[Cohort, RegisteredPage | None]:
        page = self._at(message.key).pages.get(_place(message))
        return self.cohort(message.key), page

    @override
    def sync(self, key: CohortKey, seq: int) -> Sync | None:
        return self._at(key).syncs.get(seq)

    @override
    def digests(
        self, key: CohortKey, page: Page, seqs: Iterable[int]
    ) -> Mapping[int, str]:
        stored = self._at(key).pages
        places = {seq: (seq, page.action, page.name) for seq in seqs}
        return {seq: stored[at].digest for seq, at in places.items() if at in stored}

    @override
    def members(self, key: CohortKey, ids: Sequence[str]) -> Mapping[str, Member]:
        stored = self._at(key).members
        return {each: stored[each] for each in ids if each in stored}

    @override
    def begin_push(self, key: CohortKey, begun: OpenPush) -> None:
        self._at(key).pushes[begun.at, begun.keys[0]] = begun

    @override
    def open_pushes(self, key: CohortKey) -> Sequence[OpenPush]:
        return [*self._at(key).pushes.values()]

    @override
    def end_push(self, key: CohortKey, begun: OpenPush) -> None:
        self._at(key).pushes.pop((begun.at, begun.keys[0]), None)

    @override
    def places(self, key: CohortKey, distinct_ids: Sequence[str]) -> Places:
        stored = self._at(key).places
        return {each: stored[each] for each in distinct_ids if each in stored}

    @override
    def save_places(self, key: CohortKey, places: Places, *, is_first: bool) -> None:
        at = self._at(key)
        at.head = replace(at.head, has_index=True)
        at.places.update(places)

    @override
    def scan(
        self, key: CohortKey, shard: int, after: str, limit: int
    ) -> Sequence[Member]:
        stored = self._at(key).members
        return [stored[each] for each in sorted(stored) if each > after][:limit]

    @override
    def register(self, cohort: Cohort, registration: Registration) -> bool:
        key, page, name = registration.key, registration.page, registration.name
        placement, now_ms = registration.placement, registration.now_ms
        at = self._at(key)
        seq, opens = placement.seq, placement.opens
        place = (seq, page.action, page.name)
        if place in at.pages or (opens and at.head.revision != cohort.revision):
            return False
        at.pages[place] = RegisteredPage(
            page.action, page.name, page.digest, page.total, now_ms
        )
        full, sender = page.action is Action.FULL, page.sender
        new = Sync(seq, full, now_ms, infers=page.infers, sender=sender)
        sync = at.syncs.get(seq, new)
        shared = shows_shared_session(sync, page)
        totals = {} if page.total is None else {page.action: page.total}
        at.syncs[seq] = replace(
            sync,
            last_page_at=now_ms,
            skipped=_skipped(sync, page.action, registration.skipped),
            restarts=sync.restarts or placement.restarts,
            since=sync.since or registration.since,
            sessions={
                **sync.sessions,
                page.action: sync.sessions.get(page.action, frozenset())
                | {page.session},
            },
            totals={**sync.totals, **totals},
            accepted={
                **sync.accepted,
                page.action: sync.accepted.get(page.action, Pages()).plus(page.name),
            },
        )
        at.sessions[page.session] = seq
        at.head = replace(
            at.head,
            name=name or at.head.name,
            first_name=at.head.first_name
            or name
            or at.head.name
            or f"mixpanel_{key.cohort}",
            sends_empty=at.head.sends_empty or shows_empty_calls(page),
            shares_sessions=at.head.shares_sessions or shared,
        )
        if opens:
            at.open.add(seq)
            at.called_at = now_ms
            at.opened += 1
            at.head = replace(
                at.head,
                first=at.head.first or seq,
                newest=seq,
                revision=at.head.revision + 1,
                gaps=gaps_at(at.head, seq),
                senders={**at.head.senders, **({sender: seq} if sender else {})},
            )
        return True

    @override
    def registered(self, key: CohortKey, seq: int) -> Sequence[RegisteredPage]:
        return [page for at, page in self._at(key).pages.items() if at[0] == seq]

    @override
    def mark_sent(self, message: PageMessage, at: int) -> None:
        pages, place = self._at(message.key).pages, _place(message)
        pages[place] = replace(pages[place], sent=True, at=at)

    @override
    def mark_called(self, key: CohortKey, seq: int, at: int) -> None:
        syncs = self._at(key).syncs
        syncs[seq] = replace(syncs[seq], last_page_at=at)

    @override
    def rename(self, key: CohortKey, name: str) -> None:
        at = self._at(key)
        at.head = replace(at.head, name=name)

    @override
    def cohorts(self) -> Iterable[IndexedCohort]:
        return [
            IndexedCohort(key, at.called_at, at.opened, at.day, usual_gap(at.head.gaps))
            for key, at in self._cohorts.items()
            if at.opened
        ]

    @override
    def begin_day(self, key: CohortKey, day: int) -> None:
        self._at(key).day = day

    @override
    def publish(self, key: CohortKey, destination: str, name: str) -> None:
        at = self._at(key)
        at.head = replace(at.head, destination=destination, published_name=name)

    @override
    def progress(self, message: PageMessage) -> PageProgress:
        return self._at(message.key).progress.get(_place(message), PageProgress())

    @override
    def save_progress(self, message: PageMessage, progress: PageProgress) -> None:
        self._at(message.key).progress[_place(message)] = progress

    @override
    def save(self, key: CohortKey, members: Iterable[Member]) -> None:
        self._at(key).members.update({member.key: member for member in members})

    @override
    def mark_repeats(self, key: CohortKey, repeats: Iterable[tuple[int, int]]) -> None:
        syncs = self._at(key).syncs
        for later, earlier in repeats:
            if later in syncs:
                sync = syncs[later]
                syncs[later] = replace(sync, repeats=sync.repeats | {earlier})

    @override
    def mark_processed(self, message: PageMessage, tally: Tally) -> None:
        at, place = self._at(message.key), _place(message)
        # As in DynamoDB: the sync first, unless this page is what it counted last.
        if at.last_processed.get(message.seq) != place:
            at.last_processed[message.seq] = place
            sync = at.syncs[message.seq]
            at.syncs[message.seq] = replace(
                sync,
                processed=sync.processed + 1,
                skipped=_skipped(sync, message.action, tally.skipped),
                rejected=_sum(sync.rejected, tally.rejected),
                listed=sync.listed + tally.listed,
                already_in=sync.already_in + tally.already_in,
                is_suspect=tally.is_suspect or sync.is_suspect,
            )
        self.between_writes()
        at.pages[place] = replace(at.pages[place], processed=True)

    @override
    def count_rejected(self, message: PageMessage, rejected: Mapping[str, int]) -> None:
        syncs = self._at(message.key).syncs
        sync = syncs[message.seq]
        counted = _sum(sync.rejected, rejected)
        syncs[message.seq] = replace(sync, rejected=counted)

    @override
    def advance(
        self,
        key: CohortKey,
        cohort: Cohort,
        resolution: Resolution,
        counts: Mapping[str, int],
    ) -> bool:
        at = self._at(key)
        if at.head.revision != cohort.revision:
            return False
        at.head = replace(
            at.head,
            baseline=resolution.baseline,
            measuring=resolution.measuring,
            held_removal=resolution.held_removal,
            mislabelled=resolution.mislabelled,
            skipped=skipped_after(cohort, resolution),
            aborted=at.head.aborted | resolution.newly_aborted,
            revision=at.head.revision + 1,
        )
        at.open -= resolution.finished
        for seq in resolution.newly_aborted:
            at.syncs[seq] = replace(at.syncs[seq], aborted=True)
        self.count(key, counts)
        return True

    @override
    def count(self, key: CohortKey, change: Mapping[str, int]) -> None:
        at = self._at(key)
        if any(change.values()):
            counts = _sum(at.head.counts, change)
            at.head = replace(at.head, counts=counts, counted=at.head.counted + 1)

    @override
    def recount(self, key: CohortKey, counts: Mapping[str, int], counted: int) -> None:
        at = self._at(key)
        if at.head.counted == counted:
            at.head = replace(at.head, counts=counts)

    @override
    def save_rejected(
        self, key: CohortKey, rejected: Mapping[str, str], seq: int
    ) -> None:
        self._at(key).rejected.update(dict.fromkeys(rejected, seq))

    @override
    def forget_rejected(self, key: CohortKey, ids: Sequence[str]) -> None:
        for each in ids:
            self._at(key).rejected.pop(each, None)

    @override
    def rejected(self, key: CohortKey, after: str, limit: int) -> Mapping[str, int]:
        listed = self._at(key).rejected
        following = sorted(each for each in listed if each > after)[:limit]
        return {each: listed[each] for each in following}

    @override
    def set_rejected_in(self, key: CohortKey, seq: int) -> None:
        at = self._at(key)
        at.head = replace(at.head, rejected_in=seq)

    @override
    def forget_aborted(self, key: CohortKey, aborted: Iterable[int]) -> None:
        at = self._at(key)
        at.head = replace(at.head, aborted=at.head.aborted - frozenset(aborted))


def _sum(known: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    total = Counter(known)
    total.update(more)
    return {name: number for name, number in total.items() if number}


def _skipped(
    sync: Sync, action: Action, more: Mapping[str, int]
) -> dict[Action, Mapping[str, int]]:
    return {**sync.skipped, action: _sum(sync.skipped.get(action, {}), more)}


def _place(message: PageMessage) -> tuple[int, Action, str]:
    return message.seq, message.action, message.page


class MemoryPageStore(PageStore):
    """The members of accepted pages."""

    def __init__(self) -> None:
        self._pages: dict[tuple[CohortKey, str], bytes] = {}

    @override
    def put(self, key: CohortKey, digest: str, content: bytes) -> None:
        self._pages[key, digest] = content

    @override
    def get(self, key: CohortKey, digest: str) -> Sequence[Listed]:
        if (key, digest) not in self._pages:
            raise PermanentError("page_expired", "the members of the page are gone")
        return read_page(self._pages[key, digest])


class MemoryReports(Reports):
    """The reports of syncs: `parts` by sync and part."""

    def __init__(self) -> None:
        self.parts: dict[tuple[str, str], Sequence[ReportRow]] = {}

    @override
    def write(
        self, key: CohortKey, sync: str, part: str, rows: Sequence[ReportRow]
    ) -> None:
        self.parts[sync, part] = list(rows)

    def rows(self, sync: int | str) -> list[ReportRow]:
        """The whole report of a sync, in order."""
        found = [rows for (each, _), rows in self.parts.items() if each == str(sync)]
        return sorted(row for rows in found for row in rows)


class MemoryQueue(Queue):
    """The queue; `waiting` holds the messages in order.

    A message that still waits is not taken twice. The real queue drops repeats for five
    minutes, waiting or not; the rules must not need that.
    """

    def __init__(self) -> None:
        self.waiting: list[Message] = []

    @override
    def send(self, message: Message) -> None:
        if message not in self.waiting:
            self.waiting.append(message)
