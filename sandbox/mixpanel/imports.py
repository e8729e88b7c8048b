"""Mixpanel's Import API: it checks a call, stores valid events, lists the others.

Checks come in this order: size, credentials, rate, shape of the body, identity events,
each event. That order, and what `rules.Project` holds, is not documented.
"""

import json
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from sandbox.mixpanel import rules
from sandbox.mixpanel.credentials import Credentials
from sandbox.mixpanel.events import Events
from sandbox.mixpanel.faults import LIMITED, error
from sandbox.mixpanel.rules import Failure, Project
from sandbox.servers.web import Answer, Call

EVENTS_PER_CALL = 2000
REJECTED = "some data points in the request failed validation"
SIMPLIFIED = (
    "identity events are not allowed when project is using simplified identity "
    "management"
)
_MINUTE = 60


@dataclass(slots=True)
class ImportLimits:
    """Bytes are uncompressed; `stated_bytes` is the number in the text of a 413."""

    body_bytes: int = 10_000_000
    stated_bytes: int = 2_097_152
    bytes_per_minute: int = 2_000_000_000
    events_per_minute: int = _MINUTE * 30_000


@dataclass(slots=True)
class _Minute:
    """What came in the last sixty seconds; a rolling window."""

    clock: Callable[[], float]
    came: deque[tuple[float, int, int]] = field(default_factory=deque)
    size: int = 0
    events: int = 0

    def roll(self) -> None:
        while self.came and self.clock() - self.came[0][0] >= _MINUTE:
            _, size, events = self.came.popleft()
            self.size -= size
            self.events -= events

    def count(self, size: int, events: int) -> None:
        self.came.append((self.clock(), size, events))
        self.size += size
        self.events += events


class ImportApi:
    """Answers `/import` for one project; `clock` gives epoch seconds."""

    def __init__(
        self,
        project: Project,
        credentials: Credentials,
        events: Events,
        limits: ImportLimits,
        clock: Callable[[], float],
    ) -> None:
        self.project = project
        self.limits = limits
        self._credentials = credentials
        self._events = events
        self._clock = clock
        self._minute = _Minute(clock)
        self._lock = threading.Lock()

    def answer(self, call: Call, *, store: bool = True) -> Answer:
        """Carry out one call; without `store` the accepted events are dropped."""
        try:
            body = call.inflated()
        except (OSError, EOFError):
            return error(400, "Bad Request", "the body is not gzip")
        if len(body) > self.limits.body_bytes:
            text = f"request exceeds max limit of {self.limits.stated_bytes} bytes"
            return error(413, "Request Entity Too Large", text)
        rejection = self._credentials.import_rejection(call)
        if rejection:
            return error(401, "Unauthorized", rejection)
        if not self._within_rate(len(body)):
            return error(429, "Too Many Requests", LIMITED)
        events, odd = _parse(call, body)
        with self._lock:
            self._minute.count(len(body), len(events))
        if not events:
            return error(400, "Bad Request", "the body holds no events")
        if len(events) > EVENTS_PER_CALL:
            reasons = {400: "Bad Request", 413: "Request Entity Too Large"}
            status = self.project.too_many
            return error(status, reasons[status], "too many events")
        if self.project.simplified and any(map(_is_identity_event, events)):
            return _rejected(0, [SIMPLIFIED])
        return self._taken(call, events, (len(body), odd), store=store)

    def _within_rate(self, size: int) -> bool:
        with self._lock:
            self._minute.roll()
            limits = self.limits
            return (
                self._minute.size + size <= limits.bytes_per_minute
                and self._minute.events < limits.events_per_minute
            )

    def _taken(
        self, call: Call, events: list[Any], suspect: tuple[int, bool], *, store: bool
    ) -> Answer:
        """Store what is valid; the rest is reported by index."""
        now = self._clock()
        valid, failed = [], []
        for index, event in enumerate(events):
            broken = rules.failure(event, now, self.project) or _rare(event, suspect)
            if broken:
                failed.append(_record(index, event, broken))
            else:
                valid.append(event)
        if store:
            self._events.add(valid, now)
        if call.query.get("strict", "1") == "0":
            return self._lenient(len(valid))
        if failed:
            return _rejected(len(valid), failed)
        count = len(valid)
        return Answer(200, {"code": 200, "num_records_imported": count, "status": "OK"})

    def _lenient(self, imported: int) -> Answer:
        """What `strict=0` says: that it took something, whatever it dropped."""
        taken = int(imported > 0)
        if self.project.lenient_answer == "text":
            return Answer(
                200, raw=b"%d" % taken, headers={"content-type": "text/plain"}
            )
        return Answer(200, {"error": None, "status": taken})


def _parse(call: Call, body: bytes) -> tuple[list[Any], bool]:
    """The events of an array or of newline-separated JSON; none if it is neither.

    And whether a text among them may not be UTF-8: then that event fails alone.
    """
    if call.headers.get("content-type", "").startswith("application/x-ndjson"):
        filled = [line for line in body.split(b"\n") if line.strip()]
        body = b"[" + b",".join(filled) + b"]"
    odd = False
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        odd = True
        try:
            text = body.decode(errors="surrogateescape")
            parsed = json.loads(text, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            return [], False
    return (parsed if isinstance(parsed, list) else []), odd


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _rare(event: Any, suspect: tuple[int, bool]) -> Failure | None:
    """The rules that only a large body, or one that orjson does not read, can break."""
    size, odd = suspect
    broken = rules.not_utf8(event) if odd else None
    if broken is None and size >= rules.MAX_EVENT_BYTES:
        broken = rules.oversized(event)
    return broken


def _is_identity_event(event: Any) -> bool:
    # A name can be any JSON, a list included, which cannot be looked up in a set.
    name = event.get("event") if isinstance(event, dict) else None
    return isinstance(name, str) and name in rules.IDENTITY_EVENTS


def _record(index: int, event: Any, broken: Failure) -> dict[str, Any]:
    properties = event.get("properties") if isinstance(event, dict) else None
    known = properties if isinstance(properties, dict) else {}
    name, message = broken
    return {
        "index": index,
        "insert_id": known.get("$insert_id", ""),
        "field": name,
        "message": message,
    }


def _rejected(imported: int, failed: list[Any]) -> Answer:
    return Answer(
        400,
        {
            "code": 400,
            "error": REJECTED,
            "status": "Bad Request",
            "num_records_imported": imported,
            "failed_records": failed,
        },
    )
