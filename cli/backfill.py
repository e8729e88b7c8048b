"""Load Currents' history: from a folder or a prefix here, or by Step Functions in AWS.

Either way it goes through the loader's own code into the stream, so that an event of
the history is the very event that a live delivery would have made, and shows once.
"""

import hashlib
import json
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any, override

from botocore.exceptions import BotoCoreError, ClientError

from bridge.aws.clients import answering
from bridge.aws.objects import open_object
from bridge.currents.intake.avro_file import Loaded, load
from bridge.currents.stream.kinesis import Stream
from bridge.currents.stream.pack import too_large
from bridge.quarantine import Quarantine, QuarantinedItem
from cli.mixpanel_list import connect
from cli.quarantined import objects
from cli.replay import Pace
from cli.stack import RunningStack, StackError

LAG_LIMIT = 300.0
"""Seconds; live events are not to be later than that because of their history."""

LOOK_SECONDS = 15.0
MACHINE = "BackfillStateMachine"
RUNNING = "RUNNING"


@dataclass(frozen=True)
class HistoryFile:
    """A file of the history; `version` changes with its content."""

    name: str
    version: str
    size: int
    open: Callable[[], IO[bytes]]


def files_of(stack: RunningStack, source: str) -> list[HistoryFile]:
    """The files of a folder, or below `s3://BUCKET/PREFIX`; raises `StackError`."""
    if source.startswith("s3://"):
        bucket, _, prefix = source.removeprefix("s3://").partition("/")
        s3 = stack.client("s3")
        return [
            HistoryFile(
                f"s3://{bucket}/{each['Key']}",
                each["ETag"],
                each["Size"],
                _opener(s3, bucket, each["Key"]),
            )
            for each in objects(s3, bucket, prefix)
            if each["Key"].endswith(".avro")
        ]
    folder = Path(source)
    if not folder.is_dir():
        raise StackError(f"{source} is neither a folder nor s3://BUCKET/PREFIX")
    return [
        HistoryFile(
            str(path.relative_to(folder)),
            f"{path.stat().st_mtime_ns}-{path.stat().st_size}",
            path.stat().st_size,
            lambda path=path: path.open("rb"),  # type: ignore[misc]
        )
        for path in sorted(folder.rglob("*.avro"))
    ]


def _opener(s3: Any, bucket: str, key: str) -> Callable[[], IO[bytes]]:
    def opened() -> IO[bytes]:
        with answering("currents_bucket"):
            found = open_object(s3, bucket, key)
        if found is None:
            raise StackError(f"s3://{bucket}/{key} is gone")
        body: Any = found["Body"]
        return body  # type: ignore[no-any-return]

    return opened


class Done:
    """Which files have been loaded, and how much of one that was not finished."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with closing(connect(path)) as file, file as transaction:
            transaction.execute(
                "CREATE TABLE IF NOT EXISTS loaded "
                "(name TEXT, version TEXT, events INTEGER, done INTEGER, "
                "PRIMARY KEY (name, version))"
            )

    def position(self, file: HistoryFile) -> tuple[int, bool]:
        """How many events are safe, and whether those are all."""
        with closing(connect(self._path)) as found:
            row = found.execute(
                "SELECT events, done FROM loaded WHERE name = ? AND version = ?",
                (file.name, file.version),
            ).fetchone()
        return (int(row[0]), bool(row[1])) if row else (0, False)

    def save(self, file: HistoryFile, events: int, *, done: bool) -> None:
        """Record it; raises `StackError` if another run holds the file."""
        try:
            with closing(connect(self._path)) as found, found as transaction:
                transaction.execute(
                    "INSERT OR REPLACE INTO loaded VALUES (?, ?, ?, ?)",
                    (file.name, file.version, events, done),
                )
        except sqlite3.OperationalError:
            raise StackError(f"another run is at work on {self._path}") from None


class _Paced(Stream):
    """The stream, entered no faster than it has room and the importer follows."""

    def __init__(
        self, stack: RunningStack, pace: Pace, wait: Callable[[], None]
    ) -> None:
        super().__init__(stack.client("kinesis"), stack.resources["CurrentsStream"])
        self._pace = pace
        self._wait = wait

    @override
    def put(self, records: Iterable[bytes]) -> None:
        for record in records:
            self._wait()
            self._pace(len(record))
            super().put([record])


class LagGuard:
    """Waits while the importer is further behind than `LAG_LIMIT`."""

    def __init__(
        self,
        lag: Callable[[], int | None],
        say: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._lag, self._say, self._clock, self._sleep = lag, say, clock, sleep
        self._looked = float("-inf")

    def __call__(self) -> None:
        """Return once the importer is near enough."""
        if self._clock() - self._looked < LOOK_SECONDS:
            return
        while (lag := self._lag()) is not None and lag > LAG_LIMIT:
            self._say(f"the importer is {lag // 60} min behind: waiting")
            self._sleep(LOOK_SECONDS)
        self._looked = self._clock()


def load_here(
    stack: RunningStack,
    files: Iterable[HistoryFile],
    done: Done,
    pace: Pace,
    guard: Callable[[], None],
    advance: Callable[[int], None],
) -> Counter[str]:
    """Load the files that have not been; how many, and of how many events.

    A damaged file is counted with its reason: the events of its sound blocks are in.
    """
    counts: Counter[str] = Counter()
    stream = _Paced(stack, pace, guard)
    for file in files:
        position, is_done = done.position(file)
        if is_done:
            counts["files that were loaded before"] += 1
            advance(1)
            continue
        loaded = Loaded(position)
        try:
            with closing(file.open()) as content:
                load(file.name, content, stream, loaded)
        except BaseException:
            done.save(file, loaded.position, done=False)
            raise
        _quarantine(stack, file, loaded)
        done.save(file, loaded.position, done=True)
        counts["events"] += loaded.position - position
        counts["files"] += 1
        if loaded.problem:
            counts[f"files with damage: {loaded.problem.reason}"] += 1
        advance(1)
    return counts


def _quarantine(stack: RunningStack, file: HistoryFile, loaded: Loaded) -> None:
    """Keep events that fit into no record, as the loader does."""
    reason = too_large()
    quarantine = Quarantine(
        stack.client("s3"), stack.resources["DataBucket"], "currents"
    )
    for event in loaded.too_large:
        name = hashlib.sha256(event).hexdigest()[:32]
        item = QuarantinedItem(event, reason.reason, "", str(reason), file.name)
        quarantine.put(f"backfill-{name}", datetime.now(UTC), [item])


def lag_of(stack: RunningStack) -> int | None:
    """Seconds by which the importer is behind; None if nothing says so."""
    name = stack.resources.get("CurrentsImporterFunction")
    if not name or stack.logs:
        return None
    now = datetime.now(UTC)
    try:
        points = stack.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/Lambda",
            MetricName="IteratorAge",
            Dimensions=[{"Name": "FunctionName", "Value": name}],
            StartTime=now - timedelta(minutes=10),
            EndTime=now,
            Period=60,
            Statistics=["Maximum"],
        )["Datapoints"]
    except (BotoCoreError, ClientError):
        return None
    newest = max(points, key=lambda each: each["Timestamp"], default=None)
    return int(newest["Maximum"] / 1000) if newest else None


# In AWS


@dataclass(frozen=True)
class Run:
    """A backfill in AWS: its state, and its files by what became of them."""

    name: str
    status: str
    began: datetime
    total: int
    succeeded: int
    failed: int
    running: int

    @property
    def is_running(self) -> bool:
        """Whether it still loads."""
        return self.status == RUNNING


def machine_of(stack: RunningStack) -> str:
    """The state machine; raises `StackError` if the stack has none."""
    if MACHINE not in stack.resources:
        raise StackError(
            "the stack has no backfill: make deploy SET=BackfillBucket=BUCKET, or "
            "`backfill load` does it from here"
        )
    return stack.resources[MACHINE]


def start(stack: RunningStack, prefix: str, concurrency: int) -> str:
    """Start a backfill of all files below a prefix; its name.

    Raises `StackError` while another one runs.
    """
    machine, client = machine_of(stack), stack.client("stepfunctions")
    running = client.list_executions(stateMachineArn=machine, statusFilter=RUNNING)
    if running["executions"]:
        name = running["executions"][0]["name"]
        raise StackError(f"{name} is running: `backfill watch` shows it")
    name = f"backfill-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    given = {"prefix": prefix, "concurrency": concurrency}
    client.start_execution(stateMachineArn=machine, name=name, input=json.dumps(given))
    return name


def newest(stack: RunningStack) -> Run | None:
    """The newest backfill, running or not."""
    machine, client = machine_of(stack), stack.client("stepfunctions")
    listed = client.list_executions(stateMachineArn=machine, maxResults=1)["executions"]
    if not listed:
        return None
    execution = listed[0]
    runs = client.list_map_runs(executionArn=execution["executionArn"])["mapRuns"]
    counts: dict[str, int] = {}
    for each in runs:
        counts = client.describe_map_run(mapRunArn=each["mapRunArn"])["itemCounts"]
    return Run(
        execution["name"],
        execution["status"],
        execution["startDate"],
        counts.get("total", 0),
        counts.get("succeeded", 0),
        counts.get("failed", 0) + counts.get("timedOut", 0) + counts.get("aborted", 0),
        counts.get("running", 0),
    )


def stop(stack: RunningStack) -> list[str]:
    """Stop whatever runs; the names."""
    machine, client = machine_of(stack), stack.client("stepfunctions")
    listed = client.list_executions(stateMachineArn=machine, statusFilter=RUNNING)
    for each in listed["executions"]:
        client.stop_execution(
            executionArn=each["executionArn"], cause="stopped by an operator"
        )
    return [each["name"] for each in listed["executions"]]


def watched(
    stack: RunningStack, sleep: Callable[[float], None] = time.sleep
) -> Iterator[Run]:
    """The newest backfill, again and again until it ends."""
    while run := newest(stack):
        yield run
        if not run.is_running:
            return
        sleep(5.0)
