"""The events of a Mixpanel project: every copy that came, and what a query shows.

Copies are never rejected: a query shows only the newest of one event name, distinct id,
time and `$insert_id`. Source: Mixpanel docs, "Event Deduplication", "Hot Shard Limits",
"Import Events".
"""

import itertools
import threading
from collections import Counter
from collections.abc import Iterable
from typing import Any

from sandbox.mixpanel.rules import Project, milliseconds

MAX_TEXT = 255
DAY = 86_400_000
SERVER = {"$city": "(server)", "$region": "(server)", "mp_country_code": "ZZ"}
USER = {"$city": "Sandbox", "$region": "Sandbox", "mp_country_code": "ZZ"}
"""Invented places: of the request's address, and of an `ip` property."""

type Event = dict[str, Any]
type Key = tuple[str, str, int, str]
"""Event name, distinct id, time in milliseconds, `$insert_id`."""


class Events:
    """Takes events that broke no rule; `copies` is the raw view."""

    def __init__(self, project: Project) -> None:
        self.copies: list[Event] = []
        self.ignored = 0
        self._project = project
        self._shards: Counter[tuple[str, int]] = Counter()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def add(self, events: Iterable[Event], now: float) -> None:
        """Take events of one call; `now` is in epoch seconds."""
        stored = []
        with self._lock:
            for event in events:
                # An empty text or false does nothing.
                if _ignores(event["properties"].get("$ignore")):
                    self.ignored += 1
                else:
                    stored.append(self._stored(event, now))
            self.copies += stored

    def visible(self) -> dict[Key, Event]:
        """What a query shows: one event a key, the newest copy."""
        with self._lock:
            return {key_of(event): event for event in self.copies}

    def clear(self) -> None:
        """Forget all events."""
        with self._lock:
            self.copies.clear()
            self._shards.clear()
            self.ignored = 0

    def _stored(self, event: Event, now: float) -> Event:
        properties: dict[str, Any] = {
            (name if len(name) <= MAX_TEXT else name[:MAX_TEXT]): (
                value[:MAX_TEXT]
                if isinstance(value, str) and len(value) > MAX_TEXT
                else value
            )
            for name, value in event["properties"].items()
        }
        now_ms = int(now * 1000)
        if milliseconds(properties["time"]) > now_ms:
            in_seconds = milliseconds(properties["time"]) != properties["time"]
            properties["time"] = int(now) if in_seconds else now_ms
        if self._project.simplified:
            _derive(properties)
        if properties.get("$insert_id") is None:
            properties["$insert_id"] = f"generated-{next(self._numbers)}"
        self._locate(properties)
        properties["$import"] = True
        properties["mp_processing_time_ms"] = now_ms
        name = event["event"][:MAX_TEXT]
        return self._sharded({"event": name, "properties": properties})

    def _locate(self, properties: dict[str, Any]) -> None:
        ip = properties.pop("ip", None)
        if ip is not None and str(ip) != "0":
            properties |= USER
        elif ip is None and self._project.request_geo:
            properties |= SERVER

    def _sharded(self, event: Event) -> Event:
        """Past the limit an event loses its name and user; copies count as well."""
        properties = event["properties"]
        user = str(properties["distinct_id"])
        if not user:
            return event
        shard = user, milliseconds(properties["time"]) // DAY
        self._shards[shard] += 1
        if self._shards[shard] <= self._project.hot_shard:
            return event
        properties["mp_original_event_name"] = event["event"]
        properties["mp_original_distinct_id"] = user
        properties["distinct_id"] = ""
        return {"event": "$hotshard_events", "properties": properties}


def key_of(event: Event) -> Key:
    """The four parts by which copies are recognised."""
    properties = event["properties"]
    return (
        event["event"],
        str(properties["distinct_id"]),
        milliseconds(properties["time"]),
        properties["$insert_id"],
    )


def _derive(properties: dict[str, Any]) -> None:
    """Simplified ID Merge: the user id, else the device with its prefix."""
    if properties.get("$user_id"):
        properties["distinct_id"] = properties["$user_id"]
    elif properties.get("$device_id"):
        device = str(properties["$device_id"]).removeprefix("$device:")
        properties["distinct_id"] = f"$device:{device}"


def _ignores(value: object) -> bool:
    return value is True or (isinstance(value, str) and value != "")
