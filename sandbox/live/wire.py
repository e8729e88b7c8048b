"""The wire between Mixpanel and the webhook: what is lost on it, and what comes twice.

It loses by count and not by chance, so that a switch shows its effect in every sync.
"""

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Literal

from sandbox.mixpanel.sync import Post

PAGES_SHOWN = 24
EVERY = 3
"""One page in so many meets the fault that is switched on."""

type Fate = Literal[
    "under way", "accepted", "request lost", "answer lost", "repeated", "not taken"
]


@dataclass(slots=True)
class PageSent:
    """One call, for the page to show; `number` and `total` are 0 without page_info."""

    id: int
    action: str
    number: int
    total: int
    members: int
    fate: Fate = "under way"


@dataclass
class Wire:
    """Calls the webhook by `post`; `seconds` is how long a page is shown under way."""

    post: Post
    seconds: float = 0.15
    lost_request: bool = False
    lost_answer: bool = False
    duplicate: bool = False
    abort: bool = False
    pages: deque[PageSent] = field(default_factory=lambda: deque(maxlen=PAGES_SHOWN))
    begun: int = 0
    _tries: dict[tuple[Any, ...], int] = field(default_factory=dict)
    _calls: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self) -> None:
        """A sync begins: its pages are counted from 0."""
        with self._lock:
            self._tries.clear()
            self.begun = self._calls

    def pages_of_sync(self) -> list[PageSent]:
        """Those of the sync that began last, as far as they are shown."""
        return [sent for sent in list(self.pages) if sent.id > self.begun]

    def __call__(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]] | None:
        """Send one page of a sync, as `CohortSync` asks for it."""
        place, attempt = self._place(body)
        if self.abort and place > 0:
            return self._lose(body)
        # A page that loses both its request and its answer loses the request first.
        hit = place % EVERY == 1
        if hit and self.lost_request and attempt == 1:
            return self._lose(body)
        sent, answer = self._send(body)
        if self.duplicate and place % EVERY == 0 and attempt == 1:
            self._send(body, "repeated")
        if hit and self.lost_answer and attempt == 1 + self.lost_request:
            sent.fate = "answer lost"
            return None
        return answer

    def _place(self, body: dict[str, Any]) -> tuple[int, int]:
        """Which page of its sync this is, from 0, and which attempt, from 1."""
        parameters = body["parameters"]
        info = parameters.get("page_info") or {}
        members = parameters.get("members", body.get("members", ()))
        page = (
            parameters.get("mixpanel_session_id"),
            body["action"],
            info.get("page_count"),
            *(each["mixpanel_distinct_id"] for each in members[:1]),
        )
        with self._lock:
            self._tries[page] = self._tries.get(page, 0) + 1
            return list(self._tries).index(page), self._tries[page]

    def _show(self, body: dict[str, Any]) -> PageSent:
        parameters = body["parameters"]
        info = parameters.get("page_info") or {}
        members = parameters.get("members", body.get("members", ()))
        with self._lock:
            self._calls += 1
            sent = PageSent(
                self._calls,
                body["action"],
                info.get("page_count", 0),
                info.get("total_pages", 0),
                len(members),
            )
            self.pages.append(sent)
        time.sleep(self.seconds)
        return sent

    def _lose(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]] | None:
        self._show(body).fate = "request lost"
        return None

    def _send(
        self, body: dict[str, Any], fate: Fate = "accepted"
    ) -> tuple[PageSent, tuple[int, dict[str, Any]] | None]:
        """Send the call; `fate` is what is shown if it is answered 200."""
        sent = self._show(body)
        answer = self.post(body)
        sent.fate = fate if answer and answer[0] == 200 else "not taken"
        return sent, answer
