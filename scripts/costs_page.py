"""Write the table of a month in docs/costs.md; `--check` fails where it is stale.

Counts of calls are held by `tests/integration/test_cohort_costs.py` and the assumptions
are those of docs/scaling.md; prices are AWS's list prices. Run by `make docs` and
`make check`. The rest of the page is written by hand.
"""

import math
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse

from bridge.mixpanel.cohort_webhook import MEMBERS_PER_CALL
from bridge.mixpanel.import_api import EVENTS_PER_CALL
from scripts.pages import write_or_check
from scripts.scaling_page import (
    BRAZE_BATCH,
    EVENT_CPU,
    IMPORT_SECONDS,
    LAMBDA_GB_SECOND,
    LEDGER_SECONDS,
    PACKED_BYTES,
    TRACK_SECONDS,
    VCPU_MEMORY,
    WRITE_UNIT,
    Cohort,
)

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "costs.md"

HOURS = 730
DAYS = 30
SYNCS = 48 * DAYS
"""One every half hour."""

# US dollars, us-east-1, without free tiers.
WRITE = WRITE_UNIT
READ = 0.125 / 1e6
LAMBDA_CALL = 0.20 / 1e6
API_CALL = 1.00 / 1e6
SQS_CALL = 0.50 / 1e6
PAGE_PUTS = 2
"""The page itself, and its report."""

S3_PUT, S3_GET = 0.005 / 1e3, 0.0004 / 1e3
SHARD_HOUR, EXTENDED_HOUR, PUT_UNIT = 0.015, 0.020, 0.014 / 1e6
"""Extended retention, from a day to seven, costs more than the shard itself."""
SECRET, ALARM, METRIC, DASHBOARD = 0.40, 0.10, 0.30, 3.00
LOG_GB = 0.50

# Counted.
WEBHOOK_CALLS = {
    "PutObject": 1,
    "BatchGetItem": 3,
    "TransactWriteItems": 1,
    "SendMessage": 1,
    "UpdateItem": 1,
}
"""Of a page that is accepted."""
PAGE_WRITES = 12
"""Write units of a page beside those of its members, applying it included."""
PUSH_WRITES = 1.05
"""Write units of a change: the member, and its part of the push that names it."""
LOG_BYTES = 2_000
"""At most so many an invocation: its lines, its metrics and those of Lambda itself."""
PUBLISHED = 24
"""Metrics that are published where all is well, by function."""
POLLS = 5 * 3 * 60 * HOURS
"""Lambda's five pollers wait 20 seconds each for messages of the queue."""
MAINTENANCE_RUNS = 6 * HOURS


@dataclass(frozen=True)
class Size:
    """A customer: members, the share that changes at each sync, events a day."""

    members: int
    change: float
    events: int


SIZES = (Size(10_000, 0.01, 100_000), Size(100_000, 0.01, 1_000_000),
         Size(1_000_000, 0.005, 10_000_000))  # fmt: skip


class Month:
    """What one size costs, by item, in US dollars."""

    def __init__(self, size: Size, template: dict[str, Any]) -> None:
        resources = template["Resources"]
        memory = {
            name: made["Properties"]["MemorySize"] / 1024
            for name, made in resources.items()
            if made["Type"] == "AWS::Serverless::Function"
        }
        changed = size.members * size.change
        self.pages = SYNCS * max(2, math.ceil(changed / MEMBERS_PER_CALL))
        changes = SYNCS * changed
        events = size.events * DAYS
        self.calls = events / BRAZE_BATCH
        importer = resources["CurrentsImporterFunction"]["Properties"]
        window = importer["Events"]["Stream"]["Properties"]
        most = HOURS * 3600 / window["MaximumBatchingWindowInSeconds"]
        batches = min(self.calls, most)
        imports = max(batches, events / EVENTS_PER_CALL)
        alarms = _count(resources, "AWS::CloudWatch::Alarm")
        secrets = _count(resources, "AWS::SecretsManager::Secret")
        page = Cohort(MEMBERS_PER_CALL, template).page_seconds
        share = changes / self.pages / MEMBERS_PER_CALL
        seconds = {
            "CohortWebhookFunction": self.pages
            * (sum(WEBHOOK_CALLS.values()) + 1)
            * LEDGER_SECONDS,
            "CohortConsumerFunction": self.pages
            * (page * share + 8 * LEDGER_SECONDS + TRACK_SECONDS),
            "CohortMaintenanceFunction": MAINTENANCE_RUNS * 1.0,
            "CurrentsReceiverFunction": self.calls * 0.05,
            "CurrentsImporterFunction": events
            * EVENT_CPU
            * VCPU_MEMORY
            / (memory["CurrentsImporterFunction"] * 1024)
            + imports * IMPORT_SECONDS,
        }
        invocations = 2 * self.pages + MAINTENANCE_RUNS + self.calls + batches
        logged = (invocations + 0.25 * (self.pages + self.calls)) * LOG_BYTES
        shards = template["Parameters"]["StreamShards"]["Default"]
        rate = size.events / 86_400 * PACKED_BYTES
        shards = max(shards, math.ceil(rate / 500_000))
        written = self.pages * PAGE_WRITES + PUSH_WRITES * changes
        self.items: dict[str, float] = {
            "Kinesis: shard hours": shards * HOURS * SHARD_HOUR,
            "Kinesis: extended retention": shards * HOURS * EXTENDED_HOUR,
            "Kinesis: records": self.calls * PUT_UNIT,
            "DynamoDB": written * WRITE
            + (WEBHOOK_CALLS["BatchGetItem"] * self.pages + 2 * changes) * READ,
            "Lambda": invocations * LAMBDA_CALL
            + sum(memory[n] * each for n, each in seconds.items()) * LAMBDA_GB_SECOND,
            "HTTP API": (self.pages + self.calls) * API_CALL,
            "SQS": (POLLS + 3 * self.pages) * SQS_CALL,
            "S3": self.pages * (PAGE_PUTS * S3_PUT + S3_GET),
            "Logs": logged / 1e9 * LOG_GB,
            "Metrics": PUBLISHED * METRIC,
            "Alarms": alarms * ALARM,
            "Dashboard": _count(resources, "AWS::CloudWatch::Dashboard") * DASHBOARD,
            "Secrets": secrets * SECRET,
        }

    @property
    def total(self) -> float:
        """The whole month."""
        return sum(self.items.values())


def _count(resources: dict[str, Any], kind: str) -> int:
    """How many there are of a kind, without those of a backfill."""
    return sum(
        made["Type"] == kind and made.get("Condition") != "HasBackfill"
        for made in resources.values()
    )


def table(template: dict[str, Any]) -> str:
    """The months of all sizes, item by item."""
    months = [Month(size, template) for size in SIZES]
    heads = [f"{s.members:,} members, {s.events:,} events a day" for s in SIZES]
    lines = [f"| a month of | {' | '.join(heads)} |", "|---" * (len(SIZES) + 1) + "|"]
    lines += [_row(name, [m.items[name] for m in months]) for name in months[0].items]
    lines.append(_row("**all**", [month.total for month in months]))
    return "\n".join(lines)


def _row(name: str, costs: list[float]) -> str:
    return f"| {name} | {' | '.join(f'${cost:,.2f}' for cost in costs)} |"


_TABLE = re.compile(r"(<!-- a month -->\n).*?(\n<!-- end -->)", re.DOTALL)


def page(written: str) -> str:
    """The page with its table renewed."""
    template = yaml_parse((ROOT / "template.yaml").read_text())
    return _TABLE.sub(lambda m: f"{m[1]}{table(template)}{m[2]}", written)


if __name__ == "__main__":
    sys.exit(write_or_check(PAGE, page(PAGE.read_text())))
