"""Mixpanel's Import API and the part of its query API that the bridge uses."""

import base64
import binascii
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from sandbox.faults import Faults
from sandbox.mixpanel import rules
from sandbox.web import Answer, Call, StandIn

EVENTS_PER_CALL = 2000
MAX_BODY = 10_000_000
REJECTED = "some data points in the request failed validation"
SIMPLIFIED = (
    "identity events are not allowed when project is using simplified identity "
    "management"
)
_LIMITED = (
    "Project exceeded rate limits. Please retry the request with exponential backoff."
)

type Event = dict[str, Any]
type Key = tuple[str, str, int, str]


class MixpanelStandIn(StandIn):
    """A Mixpanel on 127.0.0.1 with one project.

    `service_accounts` is user name → secret. `max_body` is in uncompressed bytes, and
    `limit` the number of calls in a rolling minute. `clock` gives epoch seconds.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        project_id: str = "1",
        project_token: str = "token",  # noqa: S107 - of a stand-in
        api_secret: str = "secret",  # noqa: S107
        service_accounts: Mapping[str, str] | None = None,
        faults: Faults | None = None,
        max_body: int = MAX_BODY,
        limit: int = 100_000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.faults = faults or Faults()
        self.events: list[Event] = []
        self.calls: Counter[str] = Counter()
        self.project_id = project_id
        self.singles = {project_token, api_secret}
        self.service_accounts = dict(service_accounts or {})
        self.lock = threading.Lock()
        self._max_body = max_body
        self._limit = limit
        self._clock = clock
        self._minute: list[float] = []
        super().__init__(port)

    def visible(self) -> dict[Key, Event]:
        """What a query shows: one event a key, the newest copy."""
        with self.lock:
            return {_key(event): event for event in self.events}

    def respond(self, call: Call) -> Answer:
        """Answer one call, with a fault if one is planned."""
        if call.path.startswith("/_stand_in/"):
            return self._inspect(call)
        self.calls[call.path] += 1
        if call.path.rstrip("/") != "/import":
            return Answer(404, {"error": "Not Found"})
        if call.method != "POST":
            return Answer(405, {"error": "Method Not Allowed"})
        return self._import(call, self.faults.next("/import"))

    def _import(self, call: Call, fault: str | None) -> Answer:
        if fault in {"500", "502", "503"}:
            return Answer(int(fault), raw=b"<html>Bad Gateway</html>")
        if fault == "reset before":
            return Answer(0, reset=True)
        try:
            body = call.inflated()
        except (OSError, EOFError):
            return _error(400, "Bad Request", "invalid gzip")
        if len(body) > self._max_body or fault == "413":
            text = "request exceeds max limit of 2097152 bytes"
            return _error(413, "Request Entity Too Large", text)
        if not self._is_known(call) or fault == "401":
            return _error(401, "Unauthorized", "Invalid credentials")
        if fault == "429" or not self._within_limit():
            return _error(429, "Too Many Requests", _LIMITED)
        events = _parse(call, body)
        if not events:
            return _error(400, "Bad Request", "the body holds no events")
        if len(events) > EVENTS_PER_CALL:
            return _error(413, "Request Entity Too Large", "too many events")
        if any(event.get("event") in rules.IDENTITY_EVENTS for event in events):
            return Answer(
                400,
                {
                    "code": 400,
                    "error": REJECTED,
                    "status": "Bad Request",
                    "num_records_imported": 0,
                    "failed_records": [SIMPLIFIED],
                },
            )
        return _spoilt(self._ingest(events), fault)

    def _is_known(self, call: Call) -> bool:
        scheme, _, encoded = call.headers.get("authorization", "").partition(" ")
        try:
            decoded = base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return False
        username, _, password = decoded.partition(":")
        if scheme != "Basic":
            return False
        if username in self.service_accounts:
            known = self.service_accounts[username] == password
            return known and call.query.get("project_id") == self.project_id
        return username in self.singles and not password

    def _within_limit(self) -> bool:
        with self.lock:
            now = self._clock()
            self._minute = [at for at in self._minute if now - at < 60]
            self._minute.append(now)
            return len(self._minute) <= self._limit

    def _ingest(self, events: list[Any]) -> Answer:
        """Keep what is valid; the rest is reported by index."""
        now = self._clock()
        failed = []
        kept = []
        for index, event in enumerate(events):
            broken = rules.failure(event, now)
            if broken:
                field, message = broken
                properties = (
                    event.get("properties") if isinstance(event, dict) else None
                )
                insert_id = (properties or {}).get("$insert_id", "")
                failed.append(
                    {
                        "index": index,
                        "insert_id": insert_id,
                        "field": field,
                        "message": message,
                    }
                )
            elif not event["properties"].get("$ignore"):
                stored = rules.ingested(event["properties"], now)
                kept.append({"event": event["event"], "properties": stored})
        with self.lock:
            self.events += kept
        imported = len(events) - len(failed)
        if not failed:
            return Answer(
                200, {"code": 200, "num_records_imported": imported, "status": "OK"}
            )
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

    def _inspect(self, call: Call) -> Answer:
        """`GET state`, `GET events`, `POST faults`, `POST reset` below /_stand_in/."""
        match call.path.removeprefix("/_stand_in/"):
            case "state":
                visible = self.visible()
                names = Counter(key[0] for key in visible)
                return Answer(
                    200,
                    {
                        "copies": len(self.events),
                        "visible": len(visible),
                        "by_event": dict(names),
                        "calls": dict(self.calls),
                    },
                )
            case "events":
                return Answer(200, list(self.visible().values()))
            case "faults":
                plan = call.json()
                self.faults.rates = plan.get("rates", {})
                for planned in plan.get("next", ()):
                    self.faults.plan(**planned)
                return Answer(200, {})
            case "reset":
                with self.lock:
                    self.events.clear()
                self.faults.clear()
                return Answer(200, {})
        return Answer(404, {"error": "Not Found"})


def _key(event: Event) -> Key:
    properties = event["properties"]
    return (
        event["event"],
        str(properties.get("distinct_id", "")),
        properties["time"],
        properties["$insert_id"],
    )


def _parse(call: Call, body: bytes) -> list[Any]:
    """The events of an array or of newline-separated JSON; empty if it is neither."""
    try:
        if call.headers.get("content-type", "").startswith("application/x-ndjson"):
            return [orjson.loads(line) for line in _lines(body)]
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return []
    return parsed if isinstance(parsed, list) else []


def _lines(body: bytes) -> Iterator[bytes]:
    return (line for line in body.split(b"\n") if line.strip())


def _error(code: int, status: str, text: str) -> Answer:
    return Answer(code, {"code": code, "error": text, "status": status})


def _spoilt(answer: Answer, fault: str | None) -> Answer:
    """The answer after the events were taken, with what goes wrong on its way."""
    body = answer.body
    if fault == "reset after":
        return Answer(0, reset=True)
    if fault == "stall":
        return Answer(0, reset=True, delay=60.0)
    if fault == "slow":
        return Answer(answer.status, body, delay=1.0)
    failed = body.get("failed_records")
    if not failed or fault is None:
        return answer
    odd: dict[str, Mapping[str, Any]] = {
        "$insert_id": {
            "failed_records": [
                {("$insert_id" if k == "insert_id" else k): v for k, v in each.items()}
                for each in failed
            ]
        },
        "no index": {
            "failed_records": [
                {k: v for k, v in each.items() if k != "index"} for each in failed
            ]
        },
        "texts": {"failed_records": [each["message"] for each in failed]},
        "status number": {"status": 0},
        "no list": {"failed_records": None},
    }
    changed = body | odd.get(fault, {})
    if fault == "no error":
        changed = {k: v for k, v in changed.items() if k != "error"}
    return Answer(answer.status, changed)
