"""One command over many members, items or events, AWS in memory; prints its peak.

`python -m bench.operate_run WHAT NUMBER`, in a process of its own.
"""

import io
import json
import resource
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, override
from unittest.mock import patch

from bridge.cohorts.adapters.dynamodb_ledger import DynamoLedger
from bridge.cohorts.messages import CohortKey
from bridge.cohorts.ports.ledger import IndexedCohort
from bridge.cohorts.rules.membership import Confirmed, Member
from bridge.cohorts.rules.model import Cohort
from bridge.quarantine import QuarantinedItem, to_lines
from cli import backfill, cohorts, mixpanel_list, reconcile
from cli import members as members_module
from cli.__main__ import main
from cli.replay import Pace
from cli.stack import Resources, RunningStack
from sandbox.braze.currents import CurrentsSource, avro_file

KEY = CohortKey(project="1", cohort="8120045")
SEQ = 1_796_000_000_000
STEP = 1_000
FILE_EVENTS = 5_000


class Ledger(DynamoLedger):
    """A cohort of so many members, made as they are asked for."""

    def __init__(self, number: int) -> None:
        self._number = number

    @override
    def cohorts(self) -> Iterator[IndexedCohort]:
        yield IndexedCohort(KEY, SEQ, 1)

    @override
    def cohort(self, key: CohortKey, session: str | None = None) -> Cohort:
        return Cohort(first=SEQ, newest=SEQ, baseline=SEQ, destination="d")

    @override
    def scan(
        self, key: CohortKey, shard: int, after: str, limit: int
    ) -> Sequence[Member]:
        per_shard = self._number // self.shards
        first = int(after.rpartition("-")[2]) + 1 if after else 0
        return [
            Member(
                f"e:user-{shard:02d}-{number:09d}",
                {f"profile-{shard:02d}-{number:09d}": {SEQ: True}},
                Confirmed.IN,
                "d",
                SEQ,
            )
            for number in range(first, min(first + limit, per_shard))
        ]


class S3:
    """A quarantine of so many items, in objects of a thousand."""

    def __init__(self, number: int) -> None:
        self._number = number
        item = QuarantinedItem(b'{"event_type": "users.x"}' * 20, "bad_time", "time")
        self._object = to_lines([item] * STEP)

    def get_paginator(self, _: str) -> "S3":
        return self

    def paginate(self, **given: str) -> Iterator[dict[str, Any]]:
        if "currents" in given["Prefix"]:
            at = datetime(2026, 11, 30, tzinfo=UTC)
            for number in range(self._number // STEP):
                key = f"{given['Prefix']}date=2026-11-30/hour=08/{number:09d}.ndjson"
                yield {"Contents": [{"Key": key, "LastModified": at}]}

    def get_object(self, **_: str) -> dict[str, Any]:
        return {"Body": io.BytesIO(self._object)}


class Kinesis:
    """Takes every record and keeps none."""

    def put_records(self, *, Records: list[Any], **_: str) -> Any:  # noqa: N803
        return {"Records": [{} for _ in Records]}


def _stack(number: int) -> RunningStack:
    clients = {"s3": S3(number), "kinesis": Kinesis()}
    stack = RunningStack(
        Resources(DataBucket="b", CurrentsStream="s", LedgerTable="t"), "", "", {}
    )
    object.__setattr__(stack, "client", clients.__getitem__)
    return stack


class _Nowhere(io.StringIO):
    """Counts lines and keeps none."""

    lines = 0

    @override
    def write(self, text: str) -> int:
        self.lines += text.count("\n")
        return len(text)


def _command(stack: RunningStack, number: int, *words: str) -> int:
    ledger = Ledger(number)
    out = _Nowhere()
    with (
        patch.object(RunningStack, "local", lambda _: stack),
        patch.object(cohorts, "ledger_of", lambda _: ledger),
        redirect_stdout(out),
    ):
        if main([*words, "--json"]):
            raise SystemExit(f"{words} failed")
    return out.lines


def _reconcile(stack: RunningStack, number: int) -> int:
    ledger = Ledger(number)
    with (
        tempfile.TemporaryDirectory() as folder,
        mixpanel_list.opened(Path(folder), stack, KEY, fresh=True) as listed,
    ):
        listed.began = SEQ + 1
        rows = (
            (next(iter(member.profiles)), member.key, 0, "")
            for member, _ in members_module.members(ledger, KEY)
        )
        with listed.file as transaction:
            transaction.executemany("INSERT INTO listed VALUES (?, ?, ?, ?, 0)", rows)
        with patch.object(reconcile, "ledger_of", lambda _: ledger):
            found = reconcile.compare(stack, KEY, listed)
            return sum(each.what == "in both" for each in found)


def _backfill(stack: RunningStack, number: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        source = CurrentsSource([f"u{n}" for n in range(999)], 1_700_000_000, seed=1)
        kind = "users.messages.email.Open"
        content = avro_file(kind, [source.event(kind) for _ in range(FILE_EVENTS)])
        for name in range(number // FILE_EVENTS):
            (Path(folder) / f"{name:03d}.avro").write_bytes(content)
        counts = backfill.load_here(
            stack,
            backfill.files_of(stack, folder),
            backfill.Done(Path(folder) / "done.sqlite"),
            Pace(1e12),
            lambda: None,
            lambda _: None,
        )
        return counts["events"]


def run() -> int:
    """Run what the arguments ask for."""
    what, number = sys.argv[1], int(sys.argv[2])
    stack = _stack(number)
    did = {
        "members": lambda: _command(stack, number, "members", KEY.cohort, "--in"),
        "quarantine": lambda: _command(
            stack, number, "quarantine", "list", "--limit", "0"
        ),
        "reconcile": lambda: _reconcile(stack, number),
        "backfill": lambda: _backfill(stack, number),
    }[what]()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps({"did": did, "peak_mib": peak}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(run())
