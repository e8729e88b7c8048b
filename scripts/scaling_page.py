"""Write docs/scaling.md from template and code; `--check` fails where it is stale.

Limits are read from the code and the template that use them; assumptions are set here.
Run by `make docs` and `make check`.
"""

import math
import sys
import textwrap
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse

from bridge.aws.dynamodb import READ_ITEMS, WRITE_ITEMS
from bridge.braze.users_track import OBJECTS_PER_CALL
from bridge.cohorts.adapters.member_items import SHARDS
from bridge.cohorts.apply.batch import PAGES_AT_A_TIME
from bridge.cohorts.routes.attribute import AttributeRoute
from bridge.currents.delivery.send import SECONDS_FOR_A_CALL
from bridge.mixpanel.cohort_webhook import MEMBERS_PER_CALL
from bridge.mixpanel.import_api import EVENTS_PER_CALL
from bridge.settings import BrazeContract
from scripts.pages import write_or_check

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "scaling.md"

RATES = (1_000, 10_000, 100_000)
"""Events a second."""

DEVICES = 100_000
"""Members that are devices."""

COHORTS = (100_000, 1_000_000, 10_000_000)
"""Members."""

MEMORIES = (512, 1_024, 1_769)
"""MB of the consumer, side by side."""

# US dollars, us-east-1.
LAMBDA_GB_SECOND = 0.0000133334
"""On arm64."""
WRITE_UNIT = 0.625 / 1e6

# Vendors' quotas.
MIXPANEL_EVENTS = 30_000
"""Events a second and project; Mixpanel docs, "Import Events", rate limits."""
MIXPANEL_BYTES = 2_000_000_000 / 60
"""Bytes of JSON a second and project, from the same place."""
BRAZE_CALLS = 3_000 / 3
"""users/track calls a second, contracts by data points; Braze docs, "Rate limits"."""
BRAZE_CALLS_HOURLY = 250_000 / 3600
"""The same where a contract has an hourly limit instead."""
BRAZE_LOOK_UPS = 250
"""users/export/ids calls a minute for customers since 2024-08-22; others have 2,500."""
SHARD_BYTES = 1_000_000
SHARD_RECORDS = 1_000
"""A second; Kinesis Developer Guide, "Quotas and limits"."""
PAYLOAD_BYTES = 6_291_456 * 3 // 4
"""Of records in a Lambda event: 6 MB, as base64; Lambda Developer Guide, "Quotas"."""
VCPU_MEMORY = 1_769
"""MB of memory that make one vCPU; Lambda Developer Guide, "Configure memory"."""

# Assumed; put in your own.
EVENT_BYTES = 670
PACKED_BYTES = 190
"""An event as JSON, and its share of a gzipped record: `make bench` shows both."""
BRAZE_BATCH = 100
"""Events in one call of Braze's HTTP connector."""
EVENT_CPU = 40e-6
"""Seconds of a vCPU in the importer: `make bench`, with room."""
IMPORT_SECONDS = 0.8
"""Until Mixpanel answers a call of 2,000 events."""
TRACK_SECONDS = 0.2
LEDGER_SECONDS = 0.01
"""Until Braze and DynamoDB answer one call."""
MEMBER_CPU = 0.2e-3
"""Seconds of a vCPU in the consumer, first sync: `make bench ONLY=pace`, with room."""
HEADROOM = 0.5
"""Of a shard that is used in the mean, so that a peak fits in."""


class Events:
    """The event path at one rate, in events a second."""

    def __init__(self, rate: int, template: dict[str, Any]) -> None:
        resources = template["Resources"]
        importer = resources["CurrentsImporterFunction"]["Properties"]
        mapping = importer["Events"]["Stream"]["Properties"]
        self.rate = rate
        self.bytes = rate * PACKED_BYTES
        records = rate / BRAZE_BATCH
        self.shards = math.ceil(
            max(self.bytes / SHARD_BYTES, records / SHARD_RECORDS) / HEADROOM
        )
        vcpus = importer["MemorySize"] / VCPU_MEMORY
        each = EVENT_CPU / vcpus + IMPORT_SECONDS / EVENTS_PER_CALL
        self.busy = rate * each
        self.parallel = min(10, math.ceil(self.busy / HEADROOM / self.shards))
        window = mapping["MaximumBatchingWindowInSeconds"]
        self.batch = int(
            min(
                rate / self.shards / self.parallel * window,
                mapping["BatchSize"] * BRAZE_BATCH,
                PAYLOAD_BYTES / PACKED_BYTES,
            )
        )
        self.seconds = self.batch * each
        self.calls = records


@dataclass(frozen=True)
class Contract:
    """How Braze limits users/track, and what a consumer makes of it."""

    name: str
    calls_a_second: float
    calls_at_a_time: int
    objects: int = OBJECTS_PER_CALL


HOURLY = Contract(
    "250,000 calls an hour",
    BRAZE_CALLS_HOURLY,
    BrazeContract.HOURLY.calls_at_a_time,
)
CONTRACTS = (
    HOURLY,
    replace(HOURLY, name="the same, 50 objects a call", objects=50),
    Contract(
        "by data points: 3,000 in 3 s",
        BRAZE_CALLS,
        BrazeContract.DATA_POINTS.calls_at_a_time,
    ),
)


class Cohort:
    """The first full sync of one cohort on the attribute route."""

    def __init__(
        self,
        members: int,
        template: dict[str, Any],
        contract: Contract = HOURLY,
        memory: int = 0,
    ) -> None:
        consumer = template["Resources"]["CohortConsumerFunction"]["Properties"]
        mapping = consumer["Events"]["Pages"]["Properties"]
        self.members = members
        self.contract = contract
        self.pages = math.ceil(members / MEMBERS_PER_CALL)
        self.track_calls = math.ceil(MEMBERS_PER_CALL / contract.objects)
        self.reads = math.ceil(MEMBERS_PER_CALL / READ_ITEMS)
        self.writes = math.ceil(MEMBERS_PER_CALL / WRITE_ITEMS)
        self.memory = memory or int(consumer["MemorySize"])
        self.vcpus = self.memory / VCPU_MEMORY
        self.waiting = self.track_calls * TRACK_SECONDS / contract.calls_at_a_time
        self.cpu = MEMBERS_PER_CALL * MEMBER_CPU / min(self.vcpus, 1)
        allowed = self.track_calls / contract.calls_a_second
        self.page_seconds = max(self.waiting + self.cpu, allowed)
        self.minutes = self.pages * self.page_seconds / 60
        self.calls = self.pages * self.track_calls
        self.calls_a_second = self.track_calls / self.page_seconds
        self.price = self.page_seconds * self.memory / 1024 * LAMBDA_GB_SECOND
        self.rescan_queries = max(SHARDS, math.ceil(members / AttributeRoute.step))
        self.writers = int(mapping["ScalingConfig"]["MaximumConcurrency"])
        self.writes_a_second = MEMBERS_PER_CALL / self.page_seconds
        self.device_minutes = MEMBERS_PER_CALL / BRAZE_LOOK_UPS
        self.batch = int(mapping["BatchSize"])
        self.timeout = int(consumer["Timeout"])


def read_template() -> dict[str, Any]:
    """As it is written."""
    parsed: dict[str, Any] = yaml_parse((ROOT / "template.yaml").read_text())
    return parsed


def page() -> str:
    """The whole page as Markdown."""
    template = read_template()
    events = [Events(rate, template) for rate in RATES]
    blocks = [
        "# Scaling",
        _text(
            "Generated from the template, the code and the assumptions at the top of "
            "`scripts/scaling_page.py` by `make docs`. Growth is AWS's: each step has "
            "a number to turn, and the vendors' quotas end it, not the bridge."
        ),
        *_events(events, template),
        *_cohorts(template),
    ]
    return "\n\n".join(blocks) + "\n"


def _events(events: list[Events], template: dict[str, Any]) -> list[str]:
    importer = template["Resources"]["CurrentsImporterFunction"]["Properties"]
    mapping = importer["Events"]["Stream"]["Properties"]
    limits = template["Resources"]["Api"]["Properties"]["RouteSettings"]
    limits = limits["POST /currents"]
    shards = template["Parameters"]["StreamShards"]["Default"]
    memory, window = importer["MemorySize"], mapping["MaximumBatchingWindowInSeconds"]
    by_bytes = MIXPANEL_BYTES / EVENT_BYTES
    return [
        "## Events",
        _text(
            f"Assumed: {EVENT_BYTES} bytes an event, {PACKED_BYTES} of them left in a "
            f"gzipped record, {EVENT_CPU * 1e6:.0f} µs of a vCPU an event, and "
            f"{IMPORT_SECONDS} s until Mixpanel answers a call of {EVENTS_PER_CALL:,}. "
            f"{1 - HEADROOM:.0%} of what is bought stays free for peaks."
        ),
        _table(
            ("events a second", *(f"{e.rate:,}" for e in events)),
            ("packed MB a second", *(f"{e.bytes / 1e6:.2f}" for e in events)),
            ("shards (`StreamShards`)", *(e.shards for e in events)),
            ("importers busy in the mean", *(f"{e.busy:.1f}" for e in events)),
            ("`ParallelizationFactor`", *(e.parallel for e in events)),
            ("batching window, s", *(window for _ in events)),
            ("`MemorySize`, MB", *(memory for _ in events)),
            ("events an invocation", *(f"{e.batch:,}" for e in events)),
            ("its seconds", *(f"{e.seconds:.1f}" for e in events)),
            ("calls of the HTTP API a second", *(f"{e.calls:,.0f}" for e in events)),
            (
                "of Mixpanel's quota",
                *(f"{e.rate / MIXPANEL_EVENTS:.0%}" for e in events),
            ),
        ),
        _point(
            f"*Shards*: packed bytes by {SHARD_BYTES / 1e6:.0f} MB a second, or "
            f"records by {SHARD_RECORDS:,} a second, whichever asks for more, at "
            f"{HEADROOM:.0%} use."
        ),
        _point(
            "*Importers busy*: an event waits its part of Mixpanel's answer "
            f"({IMPORT_SECONDS} s / {EVENTS_PER_CALL:,}) and takes its CPU on {memory} "
            f"MB, which is {memory / VCPU_MEMORY:.2f} vCPU ({VCPU_MEMORY:,} MB are "
            "one). The wait is the larger part, so more memory helps little."
        ),
        _point(
            "*Parallelization factor*: importers busy by shards, at the same use, ten "
            "at the most. It keeps the order within a partition key, and Mixpanel "
            "needs none."
        ),
        _point(
            f"*An invocation* takes what comes in {window} s, at most "
            f"{mapping['BatchSize']} records of {BRAZE_BATCH} events, or 6 MB. It has "
            f"{importer['Timeout']} s and begins no call in the last "
            f"{SECONDS_FOR_A_CALL:.0f}; the rest is left to the next."
        ),
        _point(
            f"*Calls of the HTTP API* hold {BRAZE_BATCH} events each. It lets "
            f"{limits['ThrottlingRateLimit']} a second pass "
            f"({limits['ThrottlingBurstLimit']} at once); beyond, raise "
            "`RouteSettings`, or have Currents write Avro files."
        ),
        _text(
            f"The defaults ({shards} shard, factor "
            f"{mapping.get('ParallelizationFactor', 1)}) carry the first column. **The "
            f"bound is Mixpanel's**: {MIXPANEL_EVENTS:,} events a second and project, "
            f"or 2 GB of JSON a minute, which is {by_bytes:,.0f} events of "
            f"{EVENT_BYTES} bytes a second. Above that Mixpanel answers 429, the "
            "importer defers the rest of its batch, the iterator's age grows and the "
            "stream keeps what waits. The last column needs a higher quota, or several "
            "projects, one stack each."
        ),
    ]


def _cohorts(template: dict[str, Any]) -> list[str]:
    cohorts = [Cohort(members, template) for members in COHORTS]
    million = [Cohort(1_000_000, template, contract) for contract in CONTRACTS]
    memories = [Cohort(1_000_000, template, memory=each) for each in MEMORIES]
    one = cohorts[0]
    return [
        "## Cohorts",
        _text(
            "The first full sync, where every member is news to Braze. Later syncs "
            "send what changed, and what did not change costs Braze nothing. Assumed: "
            f"{TRACK_SECONDS * 1e3:.0f} ms a call of Braze, {LEDGER_SECONDS * 1e3:.0f} "
            f"ms a call of the ledger, {MEMBER_CPU * 1e3:.2f} ms of a vCPU a member; "
            "`make bench ONLY=pace` measures the last beside a script that only pushes."
        ),
        _table(
            ("members", *(f"{c.members:,}" for c in cohorts)),
            ("pages", *(f"{c.pages:,}" for c in cohorts)),
            ("calls of users/track", *(f"{c.calls:,}" for c in cohorts)),
            ("minutes", *(f"{c.minutes:.1f}" for c in cohorts)),
            ("queries of a rescan", *(f"{c.rescan_queries:,}" for c in cohorts)),
            (
                "hours' worth of 250,000 calls",
                *(f"{c.calls / BRAZE_CALLS_HOURLY / 3600:.2f}" for c in cohorts),
            ),
        ),
        _text("1,000,000 members by Braze's kinds of contract:"),
        _table(
            ("", *(c.contract.name for c in million)),
            ("objects a call", *(c.contract.objects for c in million)),
            (
                "calls at a time (`BrazeContract`)",
                *(c.contract.calls_at_a_time for c in million),
            ),
            ("calls a second", *(f"{c.calls_a_second:.0f}" for c in million)),
            ("Braze allows", *(f"{c.contract.calls_a_second:,.0f}" for c in million)),
            ("minutes", *(f"{c.minutes:.1f}" for c in million)),
        ),
        _point(
            f"*A page* of {MEMBERS_PER_CALL:,} takes {one.track_calls} calls of Braze, "
            f"under way together, and {one.reads + one.writes} of the ledger (reads of "
            f"{READ_ITEMS}, writes of {WRITE_ITEMS}), which go on meanwhile: "
            f"{PAGES_AT_A_TIME} pages of one sync overlap. It waits {one.waiting:.2f} "
            f"s for Braze and takes {one.cpu:.2f} s of CPU; the figures above add "
            f"both. An invocation takes at most {one.batch} pages in its "
            f"{one.timeout} s."
        ),
        _point(
            "*One writer a cohort*: a cohort is one FIFO group, which keeps its syncs "
            f"in order. {one.writers} cohorts run at once (`MaximumConcurrency`)."
        ),
        _point(
            "*Braze's quota* is shared by all consumers: when one of them meets a "
            "429, or the last call that `BrazeReservedPercent` leaves of a window, "
            "all wait for the window's end. Whoever syncs several large cohorts at "
            "once reaches the quota, and cannot pass it."
        ),
        _point(
            "*The partner route* takes 1,000 members a call, one call at a time for "
            "each cohort, because Braze answers 423 to a second one."
        ),
        _point(
            "*Devices* are looked up in users/export/ids, one a call, when they join "
            f"and when they leave. Braze allows {BRAZE_LOOK_UPS} a minute (2,500 to "
            "customers from before 2024-08-22), over all cohorts: a page of "
            f"{MEMBERS_PER_CALL:,} devices takes {one.device_minutes:.0f} minutes, and "
            f"{DEVICES:,} of them {DEVICES / BRAZE_LOOK_UPS / 60:.0f} hours. On a 429 "
            "the consumer waits for Braze's window, and the message is delivered again "
            "where its time ends. External ids and aliases need no look-up."
        ),
        _point(
            f"*The ledger* spreads a cohort over {SHARDS} partitions of 1,000 writes a "
            f"second; a writer makes {one.writes_a_second:,.0f} a second."
        ),
        _text(
            f"Memory of the consumer (`MemorySize`, {one.memory:,} MB) buys CPU, and "
            f"{VCPU_MEMORY:,} MB are one vCPU; more is not used. What Lambda asks for "
            "a million members of a first sync, where the ledger's writes cost "
            f"${1e6 * WRITE_UNIT:.2f}:"
        ),
        _table(
            ("MB", *(f"{c.memory:,}" for c in memories)),
            ("seconds a page", *(f"{c.page_seconds:.2f}" for c in memories)),
            ("minutes", *(f"{c.minutes:.1f}" for c in memories)),
            ("US dollars", *(f"{c.pages * c.price:.4f}" for c in memories)),
        ),
    ]


def _table(*rows: tuple[object, ...]) -> str:
    head, *body = [f"| {' | '.join(map(str, row))} |" for row in rows]
    rule = f"|---|{'---:|' * (len(rows[0]) - 1)}"
    return "\n".join([head, rule, *body])


def _text(text: str) -> str:
    return textwrap.fill(text, 88, break_long_words=False, break_on_hyphens=False)


def _point(text: str) -> str:
    return textwrap.indent(_text(text), "  ").replace("  ", "- ", 1)


if __name__ == "__main__":
    sys.exit(write_or_check(PAGE, page()))
