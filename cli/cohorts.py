"""What an operator does with cohorts: list them, release a removal, reassert one."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from bridge.aws.dynamodb import Table
from bridge.cohorts.adapters.dynamodb_ledger import DynamoLedger
from bridge.cohorts.adapters.sqs_queue import SqsQueue
from bridge.cohorts.cohort_messages import ReleaseMessage, RescanMessage
from bridge.cohorts.maintenance import is_silent
from bridge.cohorts.messages import CohortKey
from bridge.cohorts.rules.counts import IN, rejected_members, skipped_profiles
from cli.stack import RunningStack, StackError


@dataclass(frozen=True)
class Overview:
    """One cohort: its `members` in Braze, and those who are not, by reason.

    `rejected` counts members whom Braze rejected, `skipped` profiles that stand for
    nobody there. `mislabelled` says that a diff looks like the full list, `two_senders`
    that two connections feed the cohort, `silent` that it is called no more.
    """

    key: CohortKey
    name: str
    newest: datetime
    members: int
    rejected: Mapping[str, int]
    skipped: Mapping[str, int]
    removal_held: bool
    mislabelled: bool
    two_senders: bool
    silent: bool


def overviews(stack: RunningStack) -> Iterator[Overview]:
    """All cohorts that the webhook was ever called with."""
    ledger, now_ms = _ledger(stack), int(time.time() * 1000)
    for known in ledger.cohorts():
        cohort = ledger.cohort(known.key)
        yield Overview(
            known.key,
            cohort.name,
            datetime.fromtimestamp(known.called_at / 1000, UTC),
            cohort.counts.get(IN, 0),
            rejected_members(cohort),
            skipped_profiles(cohort),
            removal_held=bool(cohort.held_removal),
            mislabelled=bool(cohort.mislabelled),
            two_senders=len(cohort.feeding(now_ms)) > 1,
            silent=is_silent(known, now_ms),
        )


def release(stack: RunningStack, cohort_id: str) -> int:
    """Take what is held or mislabelled for the full list; how many there were.

    Raises `StackError` for a cohort that is not known.
    """
    ledger, queue = _ledger(stack), _queue(stack)
    messages = [
        ReleaseMessage(key=key, seq=seq)
        for key in _keys(ledger, cohort_id)
        if (seq := ledger.cohort(key).waiting)
    ]
    for message in messages:
        queue.send(message)
    return len(messages)


def reassert(stack: RunningStack, cohort_id: str) -> int:
    """Queue a rescan that reasserts all members; how many cohorts have this id.

    Raises `StackError` for a cohort that is not known.
    """
    ledger, queue = _ledger(stack), _queue(stack)
    keys = _keys(ledger, cohort_id)
    for key in keys:
        # All members in one round; the hour sets it apart from an earlier request.
        queue.send(RescanMessage(key=key, day=int(time.time() // 3600), days=1))
    return len(keys)


def _keys(ledger: DynamoLedger, cohort_id: str) -> list[CohortKey]:
    """Cohorts of several projects can have the same id."""
    keys = [each.key for each in ledger.cohorts() if each.key.cohort == cohort_id]
    if not keys:
        raise StackError(
            f"no cohort {cohort_id} is known; `cohorts` lists those that are"
        )
    return keys


def _ledger(stack: RunningStack) -> DynamoLedger:
    table = Table(stack.client("dynamodb"), stack.resources["LedgerTable"])
    return DynamoLedger(table, time.time())


def _queue(stack: RunningStack) -> SqsQueue:
    return SqsQueue(stack.client("sqs"), stack.resources["CohortQueue"])
