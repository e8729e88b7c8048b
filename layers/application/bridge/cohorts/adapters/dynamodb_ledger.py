"""The ledger on DynamoDB, in the table of the page log.

Members are written without a condition: a cohort is one FIFO group, so there is one
writer. What the webhook writes too is conditional.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import override

from bridge.aws.dynamodb import Update
from bridge.cohorts.adapters.dynamodb_page_log import DynamoPageLog
from bridge.cohorts.adapters.member_items import (
    SHARDS,
    add_counts,
    index_item,
    index_pk,
    member_item,
    member_pk,
    open_push_items,
    open_pushes_pk,
    progress_sk,
    read_member,
    read_open_push,
    read_place,
    rejected_pk,
    shard_of,
    tally_counts,
)
from bridge.cohorts.adapters.sync_items import (
    COHORTS,
    COUNT,
    REJECTED,
    cohort_pk,
    only_as_read,
    page_of,
    page_sk,
    read_cohort,
    read_page,
    sync_sk,
)
from bridge.cohorts.messages import CohortKey, PageMessage
from bridge.cohorts.ports.ledger import (
    IndexedCohort,
    Ledger,
    OpenPush,
    PageProgress,
    Tally,
)
from bridge.cohorts.rules.commit import Resolution
from bridge.cohorts.rules.counts import skipped_after
from bridge.cohorts.rules.membership import Member, Places
from bridge.cohorts.rules.model import Cohort, RegisteredPage


class DynamoLedger(DynamoPageLog, Ledger):
    """The whole ledger."""

    shards = SHARDS

    @override
    def cohort_and_page(
        self, message: PageMessage
    ) -> tuple[Cohort, RegisteredPage | None]:
        sk = page_sk(message.seq, message.action, message.page)
        head, item = self._head_and(message.key, sk)
        return self._cohort(message.key, head), read_page(item) if item else None

    @override
    def members(self, key: CohortKey, ids: Sequence[str]) -> Mapping[str, Member]:
        items = self._table.get((member_pk(key, shard_of(sk)), sk) for sk in ids)
        return {item["sk"]: read_member(item) for item in items}

    @override
    def begin_push(self, key: CohortKey, begun: OpenPush) -> None:
        self._table.put_all(open_push_items(key, begun))

    @override
    def open_pushes(self, key: CohortKey) -> Sequence[OpenPush]:
        items = self._table.query_all(open_pushes_pk(key))
        return [*map(read_open_push, items)]

    @override
    def end_push(self, key: CohortKey, begun: OpenPush) -> None:
        items = open_push_items(key, begun)
        self._table.delete_all((item["pk"], item["sk"]) for item in items)

    @override
    def places(self, key: CohortKey, distinct_ids: Sequence[str]) -> Places:
        items = self._table.get((index_pk(key, each), each) for each in distinct_ids)
        return {item["sk"]: read_place(item) for item in items}

    @override
    def save_places(self, key: CohortKey, places: Places, *, is_first: bool) -> None:
        if is_first:
            self._assign(key, has_index=True)
        self._table.put_all(
            index_item(key, distinct_id, place) for distinct_id, place in places.items()
        )

    @override
    def save_rejected(
        self, key: CohortKey, rejected: Mapping[str, str], seq: int
    ) -> None:
        self._table.put_all(
            {"pk": rejected_pk(key), "sk": member, "reason": reason, "seq": seq}
            for member, reason in rejected.items()
        )

    @override
    def forget_rejected(self, key: CohortKey, ids: Sequence[str]) -> None:
        self._table.delete_all((rejected_pk(key), each) for each in ids)

    @override
    def rejected(self, key: CohortKey, after: str, limit: int) -> Mapping[str, int]:
        items = self._table.query(rejected_pk(key), after, limit)
        return {item["sk"]: int(item["seq"]) for item in items}

    @override
    def set_rejected_in(self, key: CohortKey, seq: int) -> None:
        self._assign(key, rejected_in=seq)

    @override
    def scan(
        self, key: CohortKey, shard: int, after: str, limit: int
    ) -> Sequence[Member]:
        items = self._table.query(member_pk(key, shard), after, limit)
        return [read_member(item) for item in items]

    @override
    def cohorts(self) -> Iterator[IndexedCohort]:
        for item in self._table.query_all(COHORTS):
            key = CohortKey(project=item["project"], cohort=item["cohort"])
            yield IndexedCohort(
                key,
                int(item["called_at"]),
                int(item["syncs"]),
                int(item.get("day", 0)),
                int(item.get("gap", 0)),
            )

    @override
    def begin_day(self, key: CohortKey, day: int) -> None:
        known = Update(COHORTS, cohort_pk(key)[2:])
        known.assign("day", day)
        known.only_if_exists(True)
        self._table.update(known)

    @override
    def progress(self, message: PageMessage) -> PageProgress:
        found = self._table.get([(cohort_pk(message.key), progress_sk(message))])
        progress = found[0]["progress"] if found else {}
        return PageProgress(**{name: int(value) for name, value in progress.items()})

    @override
    def save_progress(self, message: PageMessage, progress: PageProgress) -> None:
        update = Update(cohort_pk(message.key), progress_sk(message))
        update.assign("progress", asdict(progress))
        update.assign("expires_at", self._expires_at)
        self._table.update(update)

    @override
    def save(self, key: CohortKey, members: Iterable[Member]) -> None:
        self._table.put_all(
            member_item(key, member, self._expires_at) for member in members
        )

    @override
    def mark_repeats(self, key: CohortKey, repeats: Iterable[tuple[int, int]]) -> None:
        by_later: dict[int, set[int]] = {}
        for later, earlier in repeats:
            by_later.setdefault(later, set()).add(earlier)
        for later, earlier_seqs in by_later.items():
            repeating = Update(cohort_pk(key), sync_sk(later))
            repeating.add("repeats", earlier_seqs)
            repeating.only_if_exists(True)
            self._table.update(repeating)

    @override
    def mark_processed(self, message: PageMessage, tally: Tally) -> None:
        # The sync first: a page that is marked is not counted again. A crash in between
        # repeats this page before any other of the sync.
        name = f"{message.action}#{message.page}"
        sync = Update(cohort_pk(message.key), sync_sk(message.seq))
        sync.add("processed", 1)
        sync.assign("last_processed", name)
        for attribute, number in tally_counts(message.action, tally).items():
            sync.add(attribute, number)
        if tally.is_suspect:
            sync.assign("is_suspect", True)
        sync.unless_equal("last_processed", name)
        self._table.update(sync)
        page = page_of(message)
        page.assign("processed", True)
        page.only_if_exists(True)
        self._table.update(page)

    @override
    def count_rejected(self, message: PageMessage, rejected: Mapping[str, int]) -> None:
        if rejected:
            sync = Update(cohort_pk(message.key), sync_sk(message.seq))
            for reason, number in rejected.items():
                sync.add(f"{REJECTED}{reason}", number)
            sync.only_if_exists(True)
            self._table.update(sync)

    @override
    def advance(
        self,
        key: CohortKey,
        cohort: Cohort,
        resolution: Resolution,
        counts: Mapping[str, int],
    ) -> bool:
        pk = cohort_pk(key)
        head = Update(pk, "HEAD")
        head.assign("baseline", resolution.baseline)
        head.assign("measuring", resolution.measuring)
        head.assign("held_removal", resolution.held_removal)
        head.assign("mislabelled", resolution.mislabelled)
        head.assign("skipped", dict(skipped_after(cohort, resolution)))
        head.assign("revision", cohort.revision + 1)
        add_counts(head, counts)
        if resolution.newly_aborted:
            head.add("aborted", set(resolution.newly_aborted))
        if resolution.finished:
            head.delete("open", set(resolution.finished))
        only_as_read(head, cohort)
        updates = [head]
        for seq in resolution.newly_aborted:
            sync = Update(pk, sync_sk(seq))
            sync.assign("aborted", True)
            updates.append(sync)
        return self._table.transact(updates)

    @override
    def count(self, key: CohortKey, change: Mapping[str, int]) -> None:
        if any(change.values()):
            head = Update(cohort_pk(key), "HEAD")
            add_counts(head, change)
            self._table.update(head)

    @override
    def recount(self, key: CohortKey, counts: Mapping[str, int], counted: int) -> None:
        before, _ = self._head_and(key, None)
        cohort = read_cohort(before, ())
        known = {name: number for name, number in cohort.counts.items() if number}
        if known == counts:
            return
        head = Update(cohort_pk(key), "HEAD")
        for name in {*known, *counts}:
            head.assign(f"{COUNT}{name}", counts.get(name, 0))
        if counted:
            head.only_if_equal("counted", counted)
        else:
            head.only_without("counted")
        self._table.update(head)

    @override
    def forget_aborted(self, key: CohortKey, aborted: Iterable[int]) -> None:
        if seqs := set(aborted):
            head = Update(cohort_pk(key), "HEAD")
            head.delete("aborted", seqs)
            self._table.update(head)

    @override
    def publish(self, key: CohortKey, destination: str, name: str) -> None:
        self._assign(key, destination=destination, published_name=name)
