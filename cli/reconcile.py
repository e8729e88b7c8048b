"""Compare the ledger with Mixpanel's own list, and feed the list as a full sync."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import override

from bridge.cohorts.adapters.dynamodb_ledger import DynamoLedger
from bridge.cohorts.adapters.s3_pages import S3PageStore
from bridge.cohorts.intake.accept import Arrival, accept_page
from bridge.cohorts.messages import CohortKey
from bridge.cohorts.pages import Listed
from bridge.cohorts.ports.page_log import Registration
from bridge.cohorts.rules.completeness import is_complete
from bridge.cohorts.rules.identifiers import Identifier
from bridge.cohorts.rules.membership import Member
from bridge.cohorts.rules.model import Cohort
from bridge.mixpanel.cohort_webhook import MEMBERS_PER_CALL, Action
from cli.cohorts import ledger_of, now_ms, queue_of, table_of
from cli.members import State, members, row_of, state_of
from cli.mixpanel_list import MixpanelList
from cli.stack import RunningStack, StackError

UNDER_WAY_MS = 120_000
"""The sender retries a page for a minute; a sync that paused for longer is over."""

LACKING, SURPLUS, MOVED = "lacking", "surplus", "other identifier"
DIFFERENCES = frozenset({LACKING, SURPLUS, MOVED})
"""Mixpanel has it and we do not, the reverse, and under another identifier."""


@dataclass(frozen=True)
class Compared:
    """One profile or member: what it comes to, and why.

    `what` is one of `DIFFERENCES`, or `in both`, `waiting`, `rejected`, `skipped`, or
    `changed since`, where a sync has spoken of it after the list was begun.
    """

    identifier: str
    distinct_id: str
    what: str
    reason: str = ""


def compare(
    stack: RunningStack, key: CohortKey, listed: MixpanelList
) -> Iterator[Compared]:
    """Every profile of either side, one by one."""
    ledger = ledger_of(stack)
    with listed.file as transaction:
        transaction.execute("UPDATE listed SET seen = 0")
        for member, cohort in members(ledger, key):
            yield from _of_member(listed, member, cohort)
    unseen = "SELECT distinct_id, key, reason FROM listed WHERE seen = 0"
    for distinct_id, listed_key, reason in listed.file.execute(unseen):
        if listed_key:
            value = Identifier.from_key(listed_key).value
            yield Compared(value, distinct_id, LACKING, "the ledger does not have it")
        else:
            yield Compared("", distinct_id, "skipped", reason)


def _of_member(
    listed: MixpanelList, member: Member, cohort: Cohort
) -> Iterator[Compared]:
    file = listed.file
    found = file.execute(
        "SELECT distinct_id FROM listed WHERE key = ?", (member.key,)
    ).fetchall()
    file.execute("UPDATE listed SET seen = 1 WHERE key = ?", (member.key,))
    state, reason = state_of(member, cohort)
    value = row_of(member, cohort).identifier
    who = ", ".join(row[0] for row in found) or ", ".join(sorted(member.profiles))
    present = member.is_in(cohort.baseline, cohort.aborted)
    if _changed_since(member, listed.began, cohort):
        yield Compared(value, who, "changed since")
    elif found and state is State.REJECTED:
        yield Compared(value, who, "rejected", reason)
    elif found and present:
        what = "waiting" if state is State.WAITING else "in both"
        yield Compared(value, who, what, reason)
    elif found:
        yield Compared(value, who, LACKING, "out, as the newest sync says")
    elif present:
        where = _elsewhere(listed, member)
        yield Compared(value, who, MOVED if where else SURPLUS, where)


def _elsewhere(listed: MixpanelList, member: Member) -> str:
    """The identifier that Mixpanel gives a profile of the member now; "" if none."""
    for distinct_id in member.profiles:
        row = listed.file.execute(
            "SELECT key FROM listed WHERE distinct_id = ?", (distinct_id,)
        ).fetchone()
        if row:
            return f"now {Identifier.from_key(row[0]).value}" if row[0] else "now none"
    return ""


def _changed_since(member: Member, began: int, cohort: Cohort) -> bool:
    return any(
        seq > began and seq not in cohort.aborted
        for versions in member.profiles.values()
        for seq in versions
    )


def feed(
    stack: RunningStack,
    key: CohortKey,
    listed: MixpanelList,
    advance: Callable[[int], None],
) -> int:
    """Accept the list as a full sync, as if Mixpanel had sent it; how many pages.

    Of whomever a sync has spoken since the list was begun, that sync's word counts.
    Raises `StackError` while a sync is under way.
    """
    ledger = _Ledger(table_of(stack), time.time())
    cohort = ledger.cohort(key)
    ledger.expected = cohort.newest
    _require_quiet(cohort)
    _take_over(listed, ledger, key)
    total = max(1, -(-_size(listed) // MEMBERS_PER_CALL))
    pages = S3PageStore(stack.client("s3"), stack.resources["DataBucket"])
    sender = max(cohort.senders, key=lambda each: cohort.senders[each], default="")
    for number in range(1, total + 1):
        arrival = Arrival(
            key,
            "",
            f"{sender}reconcile-{listed.began}",
            Action.FULL,
            number,
            total,
            _page(listed, number),
            Counter(),
            sender=sender,
        )
        accept_page(
            arrival, now_ms(), ledger=ledger, pages=pages, queue=queue_of(stack)
        )
        advance(1)
    return total


def _require_quiet(cohort: Cohort) -> None:
    newest = max(cohort.syncs, key=lambda sync: sync.last_page_at, default=None)
    if newest is None or is_complete(newest, cohort):
        return
    if time.time() * 1000 - newest.last_page_at < UNDER_WAY_MS:
        raise StackError("a sync of the cohort is under way: try again in two minutes")


def _take_over(listed: MixpanelList, ledger: DynamoLedger, key: CohortKey) -> None:
    """Put what syncs have said since the list was begun into the list."""
    with listed.file as transaction:
        for member, cohort in members(ledger, key):
            for distinct_id, versions in member.profiles.items():
                newer = {
                    seq: says
                    for seq, says in versions.items()
                    if seq > listed.began and seq not in cohort.aborted
                }
                if not newer:
                    continue
                if newer[max(newer)]:
                    row = (distinct_id, member.key, 0, "")
                    transaction.execute(
                        "INSERT OR IGNORE INTO listed VALUES (?, ?, ?, ?, 0)", row
                    )
                else:
                    transaction.execute(
                        "DELETE FROM listed WHERE distinct_id = ?", (distinct_id,)
                    )


def _size(listed: MixpanelList) -> int:
    number: int = listed.file.execute("SELECT count(*) FROM listed").fetchone()[0]
    return number


def _page(listed: MixpanelList, number: int) -> list[Listed]:
    rows = listed.file.execute(
        "SELECT distinct_id, key, entry, reason FROM listed ORDER BY distinct_id "
        "LIMIT ? OFFSET ?",
        (MEMBERS_PER_CALL, (number - 1) * MEMBERS_PER_CALL),
    )
    return [
        Listed(distinct_id, Identifier.from_key(key), entry)
        if key
        else Listed(distinct_id, None, reason=reason)
        for distinct_id, key, entry, reason in rows
    ]


class _Ledger(DynamoLedger):
    """The ledger, into which the list goes only if no sync has come in between.

    The list would be newer than that sync, and not know what it said.
    """

    expected = 0

    @override
    def register(self, cohort: Cohort, registration: Registration) -> bool:
        if registration.placement.opens and cohort.newest != self.expected:
            raise StackError("a sync has just begun: run the command again")
        return super().register(cohort, registration)
