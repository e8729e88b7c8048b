"""Mixpanel as the sender of cohort syncs: retries, pauses and snapshots.

A sync is all or nothing: only if every page was taken does the snapshot move, and the
next sync sends the difference to it. Source: Mixpanel docs, "Cohort Sync: Webhooks".
"""

import random
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import batched
from typing import Any

import requests

from sandbox.mixpanel.cohorts import (
    PAGE_SIZE,
    Cohort,
    Dialect,
    PlannedCall,
    Reaction,
    Sessions,
    body_of,
    plan,
)

SNAPSHOT_SECONDS = 3 * 86_400
PAUSES = (2.0, 4.0, 8.0, 16.0, 30.0)
"""Five retries over a minute; how long each waits is not documented."""
PAUSING = frozenset({400, 401, 403, 404})
TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class SyncResult:
    """What became of one sync; `message` is what the receiver said of a failure.

    `statuses` is the last status of every page that was sent, 0 where no answer came.
    """

    calls: int
    success: bool
    paused: bool = False
    message: str = ""
    statuses: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class _Sent:
    """What came of one page after its retries."""

    call: PlannedCall
    status: int
    reaction: Reaction
    message: str


type Post = Callable[[dict[str, Any]], tuple[int, dict[str, Any]] | None]
"""Sends one call: status and JSON of the answer, or None where none came."""


class CohortSync:
    """A recurring sync of one cohort to one webhook.

    Raises nothing: what went wrong is in the result, as it is in Mixpanel's UI. Setting
    `snapshot` to None makes the next sync a full one.
    """

    def __init__(
        self,
        cohort: Cohort,
        url: str = "",
        username: str = "",
        password: str = "",
        *,
        dialect: Dialect | None = None,
        page_size: int = PAGE_SIZE,
        post: Post | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
        rng: random.Random | None = None,
        progress: Callable[[PlannedCall], None] = lambda _: None,
    ) -> None:
        self.cohort = cohort
        self.dialect = dialect or Dialect()
        self.paused = False
        self.snapshot: frozenset[str] | None = None
        self._taken_at = 0.0
        self._failed = False
        self._post = post or _poster(url, username, password)
        self._page_size = page_size
        self._sleep = sleep
        self._clock = clock
        self._rng = rng or random.Random()  # noqa: S311 - orders pages
        self._sessions = Sessions(self._rng, reuse=self.dialect.reuse_session)
        self._progress = progress

    def run(self) -> SyncResult:
        """One scheduled sync: a full one, or the difference to the last success."""
        if self.paused:
            return SyncResult(0, success=False, paused=True)
        now = self._clock()
        if self.snapshot is not None and now - self._taken_at > SNAPSHOT_SECONDS:
            self.snapshot = None
        members = frozenset(self.cohort.members)
        self._sessions.begin(after_failure=self._failed)
        self._failed = True
        calls = plan(
            sorted(members),
            self.snapshot,
            self.dialect,
            self._rng,
            self._sessions,
            self._page_size,
        )
        statuses: list[int] = []
        for sent in self._send_all(calls):
            statuses.append(sent.status)
            if sent.reaction != "accept":
                self.paused = sent.reaction == "pause"
                return SyncResult(
                    len(statuses), False, self.paused, sent.message, tuple(statuses)
                )
            self._progress(sent.call)
        self.snapshot, self._taken_at = members, now
        self._failed = False
        return SyncResult(len(calls), success=True, statuses=tuple(statuses))

    def resume(self) -> None:
        """A person resumes a paused sync."""
        self.paused = False
        if self.dialect.resume_full:
            self.snapshot = None

    def _send_all(self, calls: list[PlannedCall]) -> Iterable[_Sent]:
        """Send page by page, or so many at a time; nothing behind one that failed."""
        if self.dialect.parallel == 1:
            yield from map(self._send, calls)
            return
        with ThreadPoolExecutor(self.dialect.parallel) as pool:
            for together in batched(calls, self.dialect.parallel, strict=False):
                yield from pool.map(self._send, together)

    def _send(self, call: PlannedCall) -> _Sent:
        """One page with its retries."""
        body = body_of(call, self.cohort, self.dialect)
        for pause in (*PAUSES, None):
            status, answer = self._post(body) or (0, {})
            reaction = self._reaction(status, answer)
            if reaction != "retry":
                break
            if pause is None:
                reaction = "abort"
            else:
                self._sleep(pause)
        error = answer.get("error")
        message = error.get("message", "") if isinstance(error, dict) else ""
        return _Sent(call, status, reaction, str(message))

    def _reaction(self, status: int, answer: dict[str, Any]) -> Reaction:
        if status == 200:
            taken = answer.get("status") == "success"
            return "accept" if taken else self.dialect.on_failure_body
        if status == 0:
            return self.dialect.on_no_answer
        if status in PAUSING:
            return "pause"
        retried = status == 429 or 500 <= status < 600
        return "retry" if retried else self.dialect.on_other_status


def _poster(url: str, username: str, password: str) -> Post:
    session = requests.Session()
    session.trust_env = False
    if username or password:
        session.auth = (username, password)

    def post(body: dict[str, Any]) -> tuple[int, dict[str, Any]] | None:
        try:
            response = session.post(
                url, json=body, timeout=TIMEOUT, allow_redirects=False
            )
        except requests.RequestException:
            return None
        try:
            answer = response.json()
        except ValueError:
            answer = {}
        return response.status_code, answer if isinstance(answer, dict) else {}

    return post
