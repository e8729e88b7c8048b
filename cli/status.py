"""Both flows at one moment: what came, what waits and why, and what was set apart."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cli.backfill import lag_of
from cli.cohorts import Overview, overviews
from cli.logs import logged
from cli.mixpanel import sizes
from cli.quarantined import Filter, found
from cli.stack import RunningStack
from cli.waiting import kept_objects, waiting

QUEUES = ("CohortQueue", "CohortDeadLetterQueue", "CurrentsLoaderDeadLetterQueue")
WAITS_FOR = (
    ("CohortConsumerFunction", "message deferred"),
    ("CurrentsImporterFunction", "batch deferred"),
)
"""The log lines that say why something waits, and who writes them."""

RECENT = timedelta(minutes=30)
"""What was deferred before is tried again by now: at most fifteen minutes apart."""


@dataclass(frozen=True)
class Waiting:
    """Why something waits, in the words of the log."""

    where: str
    reason: str
    why: str
    last: str
    times: int


@dataclass(frozen=True)
class Events:
    """What the importer has accounted for today; None where its log says nothing."""

    received: int = 0
    delivered: int = 0
    filtered: Mapping[str, int] = field(default_factory=dict)
    quarantined: Mapping[str, int] = field(default_factory=dict)
    lag: int | None = None


@dataclass(frozen=True)
class Status:
    """All of it. `mixpanel` counts members by cohort, `mixpanel_problem` says why not.

    `quarantined` counts items by flow and reason, `stream` are mass rejections in
    words, with whether the stream still waits.
    """

    stack: str
    at: datetime
    cohorts: Sequence[Overview]
    mixpanel: Mapping[str, int]
    mixpanel_problem: str
    queues: Mapping[str, int]
    events: Events
    quarantined: Mapping[str, Mapping[str, int]]
    kept: Mapping[str, int]
    stream: Sequence[tuple[str, bool]]
    waiting: Sequence[Waiting]

    @property
    def oldest_page(self) -> int:
        """How long the oldest page waits, in seconds."""
        return max((each.oldest_page for each in self.cohorts), default=0)


def gather(
    stack: RunningStack, day: str | None = None, known: Mapping[str, int] | None = None
) -> Status:
    """Look at everything; the quarantine of one day (YYYY-MM-DD), or of all.

    `known` are Mixpanel's counts, if they need not be asked again.
    """
    queues = _queues(stack)
    listed = list(overviews(stack))
    counted, problem = (dict(known), "") if known is not None else sizes(stack)
    return Status(
        stack.title,
        datetime.now(UTC),
        listed,
        counted,
        problem,
        queues,
        _events(stack),
        _quarantined(stack, day),
        kept_objects(stack),
        list(waiting(stack, day)),
        _waiting(stack),
    )


def _queues(stack: RunningStack) -> dict[str, int]:
    """Messages in each queue, those that a consumer holds included."""
    sqs: Any = stack.client("sqs")
    counted: dict[str, int] = {}
    for name in QUEUES:
        if name not in stack.resources:
            continue
        counts = sqs.get_queue_attributes(
            QueueUrl=stack.resources[name],
            AttributeNames=[
                "ApproximateNumberOfMessages",
                "ApproximateNumberOfMessagesNotVisible",
            ],
        )["Attributes"]
        counted[name] = sum(map(int, counts.values()))
    return counted


def _events(stack: RunningStack) -> Events:
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    received = delivered = 0
    filtered, quarantined = Counter[str](), Counter[str]()
    lines = logged(stack, "CurrentsImporterFunction", "batch delivered", midnight)
    for line in lines:
        # What was deferred is received once more by the next batch.
        received += int(line["received"]) - int(line["deferred"])
        delivered += int(line["delivered"])
        filtered.update(line["filtered"])
        quarantined.update(line["quarantined"])
    return Events(received, delivered, filtered, quarantined, lag_of(stack))


def _quarantined(stack: RunningStack, day: str | None) -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = {}
    for each in found(stack, Filter(day=day)):
        if not each.is_file:
            counts.setdefault(each.flow, Counter())[each.item.reason] += 1
    return counts


def _waiting(stack: RunningStack) -> list[Waiting]:
    since = datetime.now(UTC) - RECENT
    reasons: dict[tuple[str, str], Waiting] = {}
    for function, message in WAITS_FOR:
        for line in logged(stack, function, message, since):
            reason = str(line.get("reason") or line.get("error") or "")
            last = str(line.get("timestamp", ""))
            if _age(last) > RECENT.total_seconds():
                continue
            before = reasons.get((function, reason))
            reasons[function, reason] = Waiting(
                function.removesuffix("Function"),
                reason,
                str(line.get("why") or line.get("at") or ""),
                last,
                1 + (before.times if before else 0),
            )
    return list(reasons.values())


def _age(timestamp: str) -> float:
    """Seconds since a log line was written; 0 if that cannot be read."""
    try:
        return time.time() - datetime.fromisoformat(timestamp).timestamp()
    except ValueError:
        return 0.0
