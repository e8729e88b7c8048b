"""What an operator asks of cohorts, and does with them: the ledger's side of it."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from bridge.aws.dynamodb import Table
from bridge.cohorts.adapters.dynamodb_ledger import DynamoLedger
from bridge.cohorts.adapters.s3_reports import report_prefix
from bridge.cohorts.adapters.sqs_queue import SqsQueue
from bridge.cohorts.backlog import oldest_wait
from bridge.cohorts.cohort_messages import ReleaseMessage, RescanMessage
from bridge.cohorts.maintenance import is_silent
from bridge.cohorts.messages import CohortKey
from bridge.cohorts.ports.ledger import IndexedCohort
from bridge.cohorts.rules.completeness import is_complete
from bridge.cohorts.rules.counts import IN, rejected_members, skipped_profiles
from bridge.cohorts.rules.model import Cohort, Sync
from cli.stack import RunningStack, StackError


@dataclass(frozen=True)
class Overview:
    """One cohort: its members in Braze, and those who are not, by reason.

    `rejected` counts members whom Braze rejected, `skipped` profiles that stand for
    nobody there. `mislabelled` says that a diff looks like the full list, `two_senders`
    that two connections feed the cohort, `silent` that it is called no more. `gap` is
    the usual one between its syncs, `oldest_page` how long a page waits, in seconds.
    """

    project: str
    cohort: str
    name: str
    last_sync: datetime
    members: int
    rejected: Mapping[str, int]
    skipped: Mapping[str, int]
    removal_held: bool
    mislabelled: bool
    two_senders: bool
    silent: bool
    gap: int
    oldest_page: int

    @property
    def sent(self) -> int:
        """How many Mixpanel has named, as far as the syncs in force say."""
        return self.members + sum(self.rejected.values()) + sum(self.skipped.values())

    @property
    def notes(self) -> list[str]:
        """What is odd about it."""
        said = {
            "removal held": self.removal_held,
            "a diff looks like the full list": self.mislabelled,
            "silent": self.silent,
            "two connections feed it": self.two_senders,
        }
        return [note for note, holds in said.items() if holds]


def overviews(stack: RunningStack) -> Iterator[Overview]:
    """All cohorts that the webhook was ever called with."""
    ledger, now_ms = ledger_of(stack), int(time.time() * 1000)
    for known in ledger.cohorts():
        yield overview(ledger, known, now_ms)


def overview(ledger: DynamoLedger, known: IndexedCohort, now_ms: int) -> Overview:
    """One cohort as it is now."""
    cohort = ledger.cohort(known.key)
    unprocessed = [
        (sync, ledger.registered(known.key, sync.seq))
        for sync in cohort.syncs
        if not sync.is_processed
    ]
    return Overview(
        known.key.project,
        known.key.cohort,
        cohort.name,
        datetime.fromtimestamp(known.called_at / 1000, UTC),
        cohort.counts.get(IN, 0),
        rejected_members(cohort),
        skipped_profiles(cohort),
        removal_held=bool(cohort.held_removal),
        mislabelled=bool(cohort.mislabelled),
        two_senders=len(cohort.feeding(now_ms)) > 1,
        silent=is_silent(known, now_ms),
        gap=known.gap_ms // 1000,
        oldest_page=oldest_wait(unprocessed, now_ms) // 1000,
    )


@dataclass(frozen=True)
class SyncRow:
    """One sync of a cohort, and what became of it; counts are of members."""

    sync: str
    began: datetime
    kind: str
    pages: str
    state: str
    skipped: Mapping[str, int]
    rejected: Mapping[str, int]


def syncs(ledger: DynamoLedger, key: CohortKey) -> list[SyncRow]:
    """The syncs of a cohort of the last 30 days, the newest first."""
    cohort = ledger.cohort(key)
    open_syncs = {sync.seq for sync in cohort.syncs}
    return [
        SyncRow(
            str(sync.seq),
            datetime.fromtimestamp(sync.seq / 1000, UTC),
            _kind(sync),
            _pages(sync),
            _state(sync, cohort, is_open=sync.seq in open_syncs),
            _sum(sync.skipped.values()),
            sync.rejected,
        )
        for sync in reversed(ledger.syncs(key))
    ]


def _kind(sync: Sync) -> str:
    if not sync.infers:
        return "full list" if sync.full else "import call"
    return "full" if sync.full else "diff"


def _pages(sync: Sync) -> str:
    accepted = sum(pages.number for pages in sync.accepted.values())
    total = sum(sync.totals.values())
    return f"{accepted}/{total}" if total else str(accepted)


def _sum(counts: object) -> dict[str, int]:
    total: dict[str, int] = {}
    for each in counts:  # type: ignore[attr-defined]
        for reason, number in each.items():
            total[reason] = total.get(reason, 0) + number
    return total


def _state(sync: Sync, cohort: Cohort, *, is_open: bool) -> str:
    if sync.seq == cohort.held_removal:
        return "removal held"
    if sync.seq == cohort.mislabelled:
        return "looks like the full list"
    if sync.aborted or sync.seq in cohort.aborted:
        return "aborted"
    if sync.seq == cohort.baseline:
        return "baseline"
    if sync.seq == cohort.measuring:
        return "removal is measured"
    if sync.seq < cohort.baseline:
        return "superseded"
    if not sync.is_processed:
        return "pages wait"
    if is_open and not is_complete(sync, cohort):
        return "incomplete so far"
    return "applied"


def release(stack: RunningStack, cohort_id: str) -> int:
    """Take what is held or mislabelled for the full list; how many there were.

    Raises `StackError` for a cohort that is not known.
    """
    ledger, queue = ledger_of(stack), queue_of(stack)
    messages = [
        ReleaseMessage(key=key, seq=seq)
        for key in keys_of(ledger, cohort_id)
        if (seq := ledger.cohort(key).waiting)
    ]
    for message in messages:
        queue.send(message)
    return len(messages)


def reassert(stack: RunningStack, cohort_id: str) -> int:
    """Queue a rescan that reasserts all members; how many cohorts have this id.

    Raises `StackError` for a cohort that is not known.
    """
    ledger, queue = ledger_of(stack), queue_of(stack)
    keys = keys_of(ledger, cohort_id)
    for key in keys:
        # All members in one round; the hour sets it apart from an earlier request.
        queue.send(RescanMessage(key=key, day=int(time.time() // 3600), days=1))
    return len(keys)


def keys_of(ledger: DynamoLedger, cohort_id: str) -> list[CohortKey]:
    """Cohorts of several projects can have the same id; raises `StackError`."""
    keys = [each.key for each in ledger.cohorts() if each.key.cohort == cohort_id]
    if not keys:
        raise StackError(
            f"no cohort {cohort_id} is known; `cohorts` lists those that are"
        )
    return keys


def now_ms() -> int:
    """The time of day in ms since the epoch."""
    return int(time.time() * 1000)


def reports_at(stack: RunningStack, key: CohortKey) -> str:
    """Where the reports of a cohort's syncs are."""
    return f"s3://{stack.resources['DataBucket']}/{report_prefix(key)}"


def ledger_of(stack: RunningStack) -> DynamoLedger:
    """The ledger of a stack."""
    return DynamoLedger(table_of(stack), time.time())


def table_of(stack: RunningStack) -> Table:
    """The ledger's table."""
    return Table(stack.client("dynamodb"), stack.resources["LedgerTable"])


def queue_of(stack: RunningStack) -> SqsQueue:
    """The queue of a stack's cohorts."""
    return SqsQueue(stack.client("sqs"), stack.resources["CohortQueue"])
