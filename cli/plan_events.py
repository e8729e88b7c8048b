"""What would become of the events in a saved body or file, without sending them."""

import io
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bridge.currents.decode.avro import MAGIC, read_events, to_json
from bridge.currents.decode.record import Decoded, decode
from bridge.currents.delivery.prepare import events_of, prepare
from bridge.currents.delivery.reshape import passed_limits
from bridge.currents.mapping.result import Filtered
from bridge.currents.mapping.rules import Rules
from bridge.currents.mapping.transform import Mapper
from bridge.errors import MalformedInput
from bridge.mixpanel.import_api import EVENTS_PER_CALL
from cli.replay import mappers_of
from cli.stack import RunningStack


@dataclass(frozen=True)
class Fate:
    """What would become of one event of Braze's.

    `what` is delivered, filtered or quarantined; `why` the rule, the reason, or the
    limits of Mixpanel that the event passes, for which it may have to be reshaped.
    """

    kind: str
    what: str
    why: str = ""
    event: Mapping[str, Any] | None = None


@dataclass
class EventsPlan:
    """Counts by type, fate and why; and the calls that would be made of Mixpanel."""

    events: int = 0
    fates: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    lines: list[Mapping[str, Any]] = field(default_factory=list)

    def add(self, fate: Fate) -> None:
        """Count one more event."""
        self.events += 1
        self.fates[fate.kind, fate.what, fate.why] += 1
        if fate.event is not None:
            self.lines.append(fate.event)

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The calls, without the login."""
        return [
            {
                "path": "/import",
                "query": {"strict": "1"},
                "body": self.lines[start : start + EVENTS_PER_CALL],
            }
            for start in range(0, len(self.lines), EVENTS_PER_CALL)
        ]


def fates(
    name: str, content: bytes, mapper: Mapper, arrived: float | None = None
) -> Iterator[Fate]:
    """What would become of each event of a body or a file, had it arrived now."""
    at = arrived or time.time()
    for decoded in _decoded(name, content):
        kind = _kind(decoded)
        try:
            prepared = prepare(decoded, at, mapper)
        except MalformedInput as error:
            place = f" at {error.field}" if error.field else ""
            yield Fate(kind, "quarantined", f"{error.reason}{place}")
            continue
        if isinstance(prepared, Filtered):
            yield Fate(kind, "filtered", prepared.rule)
            continue
        event = json.loads(prepared[0])
        limits = sorted(passed_limits(event["properties"]))
        why = f"reshaped if Mixpanel rejects its {', '.join(limits)}" if limits else ""
        yield Fate(kind, "delivered", why, event)


def _decoded(name: str, content: bytes) -> Iterator[Decoded]:
    if not content.startswith(MAGIC):
        yield from events_of(content)
        return
    try:
        for event in read_events(name, io.BytesIO(content)):
            yield from decode(to_json(event))
    except MalformedInput as error:
        yield Decoded(b"", problem=error)


def _kind(decoded: Decoded) -> str:
    event = decoded.event if isinstance(decoded.event, dict) else {}
    kind = event.get("event_type")
    return kind if isinstance(kind, str) else "(no type)"


@dataclass(frozen=True)
class Difference:
    """Events of one type that new rules change, and what becomes of them."""

    kind: str
    before: str
    after: str
    events: int


def difference(
    stack: RunningStack, rules: Rules | None, files: Sequence[tuple[str, bytes]]
) -> tuple[int, list[Difference]]:
    """How many events the files hold, and what other rules would change.

    Raises `RulesUnusable` if either cannot be used.
    """
    current = mappers_of(stack)[stack.anonymous]
    new = mappers_of(stack, rules)[stack.anonymous]
    changes: Counter[tuple[str, str, str]] = Counter()
    total = 0
    for name, content in files:
        at = time.time()
        both = zip(
            fates(name, content, current, at),
            fates(name, content, new, at),
            strict=True,
        )
        for before, after in both:
            total += 1
            if before != after:
                changes[before.kind, *_in_both(before, after)] += 1
    return total, [
        Difference(kind, before, after, number)
        for (kind, before, after), number in changes.most_common()
    ]


def _in_both(before: Fate, after: Fate) -> tuple[str, str]:
    if before.event is None or after.event is None:
        return _in_words(before), _in_words(after)
    old, new = before.event["properties"], after.event["properties"]
    gone, come = sorted(old.keys() - new.keys()), sorted(new.keys() - old.keys())
    changed = sorted(k for k in old.keys() & new.keys() if old[k] != new[k])
    parts = []
    if before.event["event"] != after.event["event"]:
        parts.append(f"named {after.event['event']}")
    for what, names in (("without", gone), ("with", come), ("changed", changed)):
        if names:
            parts.append(f"{what} {', '.join(names)}")
    return f"delivered as {before.event['event']}", "; ".join(parts)


def _in_words(fate: Fate) -> str:
    if fate.event is not None:
        return f"delivered as {fate.event['event']}"
    return f"{fate.what}: {fate.why}"
