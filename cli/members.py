"""Who is in a cohort, who is not, and why: members of the ledger one by one.

The ledger knows whoever has an identifier. Profiles that were skipped stand in the
reports of the syncs alone, which are kept for 14 days.
"""

import csv
import io
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from bridge.aws.clients import answering
from bridge.cohorts.adapters.dynamodb_ledger import DynamoLedger
from bridge.cohorts.adapters.s3_reports import report_prefix
from bridge.cohorts.messages import CohortKey
from bridge.cohorts.rules.counts import IN, REJECTED, counted_as
from bridge.cohorts.rules.identifiers import (
    KINDS,
    Identifier,
    Kind,
    identify,
    parse_sources,
)
from bridge.cohorts.rules.membership import Confirmed, Member
from bridge.cohorts.rules.model import Cohort
from bridge.cohorts.rules.outcomes import Outcome
from bridge.mixpanel.cohort_webhook import Action
from cli.explain import Consequence, explain
from cli.stack import RunningStack

STEP = 1_000
"""Members read at once; memory does not grow with the cohort."""

WORDS = {kind: word for word, kind in KINDS.items()}


class State(StrEnum):
    """Where a member stands; `waiting` is for a push that is to come."""

    IN = "in"
    OUT = "out"
    WAITING = "waiting"
    REJECTED = "rejected"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class MemberRow:
    """One member, or one skipped profile, which has no identifier."""

    identifier: str
    kind: str
    distinct_ids: Sequence[str]
    state: State
    reason: str
    at: datetime | None


def row_of(member: Member, cohort: Cohort) -> MemberRow:
    """A member as the ledger has it (pure)."""
    identifier = Identifier.from_key(member.key)
    state, reason = state_of(member, cohort)
    label = f"{identifier.label}:" if identifier.label else ""
    return MemberRow(
        label + identifier.value,
        WORDS[identifier.kind],
        sorted(member.profiles),
        state,
        reason,
        datetime.fromtimestamp(member.pushed_at / 1000, UTC)
        if member.pushed_at
        else None,
    )


def state_of(member: Member, cohort: Cohort) -> tuple[State, str]:
    """Where a member stands, and why it is not in (pure)."""
    present = member.is_in(cohort.baseline, cohort.aborted)
    count = counted_as(member)
    if count.startswith(REJECTED):
        return State.REJECTED, count.removeprefix(REJECTED)
    confirmed = member.confirmed_at(cohort.destination)
    if confirmed is Confirmed.of(present):
        return (State.IN, "") if count == IN else (State.OUT, "")
    return State.WAITING, f"to be {'added' if present else 'removed'}"


def members(ledger: DynamoLedger, key: CohortKey) -> Iterator[tuple[Member, Cohort]]:
    """All members of the ledger, shard by shard."""
    cohort = ledger.cohort(key)
    for shard in range(ledger.shards):
        after = ""
        while found := ledger.scan(key, shard, after, STEP):
            for member in found:
                yield member, cohort
            after = found[-1].key
            if len(found) < STEP:
                break


def skipped(
    stack: RunningStack, ledger: DynamoLedger, key: CohortKey
) -> Iterator[MemberRow]:
    """Profiles that the syncs in force have skipped, as their reports say.

    They are gathered on disk: a later sync may have found an identifier.
    """
    cohort = ledger.cohort(key)
    with closing(sqlite3.connect("")) as found:
        found.execute("CREATE TABLE s (id TEXT PRIMARY KEY, reason TEXT, at INTEGER)")
        for seq, part, row in report_rows(stack, key):
            if seq < cohort.baseline or seq in cohort.aborted:
                continue
            distinct_id, reason = row["distinct_id"], row["reason"]
            if row["outcome"] == Outcome.SKIPPED and not part.startswith(Action.REMOVE):
                values = (distinct_id, reason, seq)
                found.execute("INSERT OR REPLACE INTO s VALUES (?, ?, ?)", values)
            else:
                found.execute("DELETE FROM s WHERE id = ?", (distinct_id,))
        for distinct_id, reason, seq in found.execute("SELECT * FROM s ORDER BY id"):
            at = datetime.fromtimestamp(seq / 1000, UTC)
            yield MemberRow("", "", [distinct_id], State.SKIPPED, reason, at)


def report_rows(
    stack: RunningStack, key: CohortKey
) -> Iterator[tuple[int, str, dict[str, str]]]:
    """Sync, part and line of all reports of syncs, in the order of the syncs."""
    s3: Any = stack.client("s3")
    bucket = stack.resources["DataBucket"]
    prefix = report_prefix(key)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    # The names of syncs are times in ms, of one length, so they sort as they happened.
    for page in pages:
        for entry in page.get("Contents", ()):
            sync, _, part = entry["Key"].removeprefix(prefix).partition("/")
            if not sync.isdecimal():
                continue
            with answering("report_store"):
                body = s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
            for row in csv.DictReader(io.StringIO(body.decode("utf-8", "replace"))):
                yield int(sync), part, row


@dataclass(frozen=True)
class Statement:
    """What one sync says of a member, and whether that counts."""

    at: datetime
    distinct_id: str
    says: str
    counts: bool
    note: str


@dataclass(frozen=True)
class Answer:
    """Where a person stands in a cohort, and why."""

    cohort: str
    name: str
    user: str
    state: str
    reason: str
    why: str
    member: MemberRow | None = None
    statements: Sequence[Statement] = field(default_factory=tuple)


def answers(
    stack: RunningStack, ledger: DynamoLedger, key: CohortKey, user: str
) -> Iterator[Answer]:
    """Why a person is in a cohort, or is not; one answer for each identifier."""
    cohort = ledger.cohort(key)
    keys = possible_keys(stack.identifiers, user)
    keys |= set().union(*(p.keys for p in ledger.places(key, [user]).values()))
    found = ledger.members(key, sorted(keys))
    for member in found.values():
        row = row_of(member, cohort)
        yield Answer(
            key.cohort,
            cohort.name,
            user,
            row.state,
            row.reason,
            _why(row),
            row,
            _statements(member, cohort),
        )
    if found:
        return
    last: tuple[int, dict[str, str]] | None = None
    for seq, _, line in report_rows(stack, key):
        if user in {line["distinct_id"], line["identifier"]}:
            last = seq, line
    if last and last[1]["outcome"] == Outcome.SKIPPED:
        reason = last[1]["reason"]
        at = datetime.fromtimestamp(last[0] / 1000, UTC)
        yield Answer(
            key.cohort,
            cohort.name,
            user,
            State.SKIPPED,
            reason,
            f"The sync of {at:%Y-%m-%d %H:%M} UTC skipped the profile. "
            + explain(reason, Consequence.MEMBER_SKIPPED),
        )
        return
    yield Answer(
        key.cohort,
        cohort.name,
        user,
        "unknown",
        "",
        "No sync of this cohort has named it, as far as the ledger and the reports of "
        f"the last 14 days go. `reconcile {key.cohort}` says whether Mixpanel has it.",
    )


def possible_keys(identifiers: str, user: str) -> set[str]:
    """The ledger's keys under which somebody may mean this user (pure)."""
    labels = {each.label for each in parse_sources(identifiers) if each.label}
    found = [identify(kind, user) for kind in Kind if kind is not Kind.ALIAS]
    found += [identify(Kind.ALIAS, user, label) for label in labels]
    return {each.key for each in found if isinstance(each, Identifier)}


def _why(row: MemberRow) -> str:
    match row.state:
        case State.REJECTED:
            return explain(row.reason, Consequence.MEMBER_REJECTED)
        case State.WAITING:
            return (
                f"The push is yet to come: the member is {row.reason}. `status` says "
                "what the queue waits for."
            )
        case State.IN:
            return (
                "Braze took the member; a user whom Braze does not know it ignores: "
                "`audit` asks Braze itself."
            )
        case _:
            return "The newest sync that counts says out."


def _statements(member: Member, cohort: Cohort) -> list[Statement]:
    """What the syncs say of the profiles behind a member, the newest first (pure)."""
    said: list[Statement] = []
    for distinct_id, versions in member.profiles.items():
        for seq, present in versions.items():
            if seq in cohort.aborted:
                counts, note = False, "the sync was aborted"
            elif seq < cohort.baseline:
                counts, note = False, "a newer full sync replaced it"
            else:
                counts, note = True, "baseline" if seq == cohort.baseline else ""
            at = datetime.fromtimestamp(seq / 1000, UTC)
            says = "in" if present else "out"
            said.append(Statement(at, distinct_id, says, counts, note))
        in_force = [seq for seq in versions if seq >= cohort.baseline]
        if not in_force and cohort.baseline:
            at = datetime.fromtimestamp(cohort.baseline / 1000, UTC)
            note = "the full list does not have the profile"
            said.append(Statement(at, distinct_id, "out", counts=True, note=note))
    return sorted(said, key=lambda each: each.at, reverse=True)
