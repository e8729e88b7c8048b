"""Braze as the sender of the page's events: what was sent, and when."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests

from sandbox.braze.currents import BATCH, CurrentsSource

ODD_TYPE = "users.behaviors.CustomEvent"
BIG_PROPERTY = "html"


@dataclass(frozen=True, slots=True)
class Sent:
    """One event: its type, and when it was sent last, in epoch seconds."""

    event_type: str
    at: float


class Sender:
    """Sends events to the receiver, by call; `sent` is by event id."""

    def __init__(
        self, url: str, token: str, people: list[str], earlier: Mapping[str, str] = {}
    ) -> None:
        self.sent = {id_: Sent(kind, time.time()) for id_, kind in earlier.items()}
        self._url = url
        self._source = CurrentsSource(people, int(time.time()) - 3600, anonymous=0.05)
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["authorization"] = f"Bearer {token}"
        self._last: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def send(self, number: int = BATCH) -> int:
        """Send so many new events in one call; the status."""
        return self._post([self._source.event() for _ in range(number)])

    def send_odd(self, number: int = 40) -> int:
        """Send some good events, and three that are odd among them; the status.

        One has a time that is none, one more properties than Mixpanel takes, and one is
        larger than it takes.
        """
        events = [self._source.event() for _ in range(number)]
        events[3]["time"] = "yesterday"
        for position, content in (
            (11, {f"answer {n}": n for n in range(300)}),
            (19, {BIG_PROPERTY: "<p>" * 400_000}),
        ):
            events[position] = self._source.event(ODD_TYPE)
            events[position]["properties"]["name"] = "Survey Answered"
            events[position]["properties"]["custom_properties"] = content
        return self._post(events)

    def repeat(self) -> int:
        """Send the last call once more, as Currents does without an answer."""
        return self._post(self._last or [self._source.event()])

    def sent_by_now(self) -> dict[str, Sent]:
        with self._lock:
            return dict(self.sent)

    def _post(self, events: list[dict[str, Any]]) -> int:
        response = self._session.post(self._url, json={"events": events}, timeout=60)
        if response.status_code == 200:
            self._last = events
            now = time.time()
            with self._lock:
                for event in events:
                    self.sent[event["id"]] = Sent(event["event_type"], now)
        return response.status_code
