"""What the page knows, read of the stand-ins, the ledger, the queues and the logs.

Nothing is computed here: `state` does that, from one `Readings`.
"""

import csv
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.aws.dynamodb import Table
from bridge.cohorts.adapters.dynamodb_ledger import DynamoLedger
from bridge.cohorts.messages import CohortKey
from bridge.cohorts.ports.page_log import PageLog
from bridge.cohorts.rules.model import Cohort, Sync
from bridge.quarantine import SAMPLES, QuarantinedItem, from_lines
from sandbox.cloud import Cloud
from sandbox.live.currents import Sent
from sandbox.live.metrics import LogReader, Metrics
from sandbox.mixpanel.events import Event, Key

ATTRIBUTE = "mixpanel_cohorts"
SYNCS_SHOWN = 6
CLOSED_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """Messages of the cohort queue, and those in its dead-letter queue."""

    waiting: int
    in_flight: int
    dead_letters: int


@dataclass(frozen=True, slots=True)
class BrazeReading:
    """The users in the cohort by external id, and what the workspace counts."""

    members: frozenset[str]
    data_points: int
    noop_writes: int


@dataclass(frozen=True, slots=True)
class MixpanelReading:
    """The events that a query shows, by key, and the number of copies."""

    visible: Mapping[Key, Event]
    copies: int


@dataclass(frozen=True, slots=True)
class LedgerReading:
    """The cohort in the ledger and its newest syncs, oldest first."""

    cohort: Cohort
    syncs: Sequence[Sync]


@dataclass(frozen=True, slots=True)
class Readings:
    """One look at everything; `outcomes` counts the rows of all sync reports."""

    braze: BrazeReading
    mixpanel: MixpanelReading
    ledger: LedgerReading
    queue: QueueDepth
    metrics: Metrics
    quarantine: Sequence[QuarantinedItem]
    outcomes: Mapping[str, int]
    sent: Mapping[str, Sent]


class Reader:
    """Reads a running cloud."""

    def __init__(self, cloud: Cloud) -> None:
        resources = cloud.description["resources"]
        self._cloud = cloud
        self._sqs = cloud.client("sqs")
        self._s3 = cloud.client("s3")
        self._queues = resources["CohortQueue"], resources["CohortDeadLetterQueue"]
        self._bucket = resources["DataBucket"]
        self._table = Table(cloud.client("dynamodb"), resources["LedgerTable"])
        self._logs = LogReader(Path(cloud.description["logs"]))
        self._objects: dict[tuple[str, str], bytes] = {}
        self._syncs: dict[tuple[CohortKey, int], tuple[float, Sync | None]] = {}
        self._seen: dict[CohortKey, set[int]] = {}

    def read(self, key: CohortKey, sent: Mapping[str, Sent]) -> Readings:
        """Read all of it; `key` is the cohort that the page shows."""
        return Readings(
            self._braze(key),
            self._mixpanel(),
            self._ledger(key),
            self._queue(),
            self._logs.read(),
            self._quarantine(),
            self._outcomes(),
            sent,
        )

    def _braze(self, key: CohortKey) -> BrazeReading:
        workspace = self._cloud.braze.workspace  # type: ignore[union-attr]
        members = workspace.cohort_members(ATTRIBUTE, f"mixpanel_{key.cohort}")
        return BrazeReading(
            frozenset(members), workspace.data_points, workspace.noop_writes
        )

    def _mixpanel(self) -> MixpanelReading:
        mixpanel: Any = self._cloud.mixpanel
        return MixpanelReading(mixpanel.visible(), len(mixpanel.events))

    def _ledger(self, key: CohortKey) -> LedgerReading:
        ledger: PageLog = DynamoLedger(self._table, time.time())
        cohort = ledger.cohort(key)
        open_syncs = {sync.seq: sync for sync in cohort.syncs}
        seen = self._seen.setdefault(key, set())
        seen |= {*open_syncs, *cohort.aborted, cohort.newest, cohort.baseline} - {0}
        newest = sorted(seen)[-SYNCS_SHOWN:]
        found = (
            open_syncs.get(seq) or self._closed(ledger, key, seq) for seq in newest
        )
        return LedgerReading(cohort, [sync for sync in found if sync])

    def _closed(self, ledger: PageLog, key: CohortKey, seq: int) -> Sync | None:
        """A sync that is no longer open hardly changes: it is read now and then."""
        until, sync = self._syncs.get((key, seq), (0.0, None))
        if time.monotonic() >= until:
            sync = ledger.sync(key, seq)
            self._syncs[key, seq] = time.monotonic() + CLOSED_SECONDS, sync
        return sync

    def _queue(self) -> QueueDepth:
        queue, dead_letters = (
            self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
            for url in self._queues
        )
        waiting = "ApproximateNumberOfMessages"
        return QueueDepth(
            int(queue["Attributes"][waiting]),
            int(queue["Attributes"][f"{waiting}NotVisible"]),
            int(dead_letters["Attributes"][waiting]),
        )

    def _quarantine(self) -> list[QuarantinedItem]:
        """The events in quarantine."""
        return [
            item
            for name, content in self._content("quarantine/currents/")
            if not name.endswith(f"{SAMPLES}.ndjson")
            for item in from_lines(content)
        ]

    def _outcomes(self) -> Counter[str]:
        """What became of the members of all pages, from the reports."""
        return Counter(
            row["outcome"]
            for _, content in self._content("reports/")
            for row in csv.DictReader(content.decode().splitlines())
        )

    def _content(self, prefix: str) -> Iterator[tuple[str, bytes]]:
        """The objects of a folder; each is read once, as long as it is the same."""
        pages = self._s3.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self._bucket, Prefix=prefix):
            for entry in page.get("Contents", ()):
                name = entry["Key"]
                if (name, entry["ETag"]) not in self._objects:
                    found = self._s3.get_object(Bucket=self._bucket, Key=name)
                    self._objects[name, entry["ETag"]] = found["Body"].read()
                yield name, self._objects[name, entry["ETag"]]


def reasons(items: Sequence[QuarantinedItem]) -> Counter[str]:
    """How many items there are, by reason."""
    return Counter(str(item.reason) for item in items)
