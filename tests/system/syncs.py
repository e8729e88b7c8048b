"""Mixpanel's cohort syncs over a network that fails, and what became of their pages.

A history is one cohort under one dialect. Its network loses requests and answers,
repeats calls and cuts syncs off; what it notes is what was answered 2xx.
"""

import random
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from sandbox.cloud import Cloud
from sandbox.mixpanel import Cohort, CohortSync, Dialect, SyncResult
from sandbox.mixpanel.cohorts import PlannedCall
from sandbox.mixpanel.sync import Post, _poster

HALF_AN_HOUR = 1800.0
AT_ONCE = {"WriteGapSeconds": "0"}
"""For syncs that are half an hour apart by the API's clock and moments by Braze's."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Shares of syncs or calls, for stress and no forecast."""

    abort: float = 0.25
    request_lost: float = 0.05
    answer_lost: float = 0.05
    duplicate: float = 0.10
    intruder: float = 0.05

    def __str__(self) -> str:
        return (
            f"aborted {self.abort:.0%}, request lost {self.request_lost:.0%}, "
            f"answer lost {self.answer_lost:.0%}, duplicate {self.duplicate:.0%}"
        )


CALM = Rates(0, 0, 0, 0, 0)


class Clock:
    """The API's clock: it stands in a round, as if a sync took no time, and moves on.

    Mixpanel syncs every half hour, and some rules of the bridge measure minutes.
    """

    def __init__(self) -> None:
        self._ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self._ahead

    def advance(self, seconds: float) -> None:
        self._ahead += seconds


@dataclass(frozen=True, slots=True)
class PageSent:
    """A page as its sender knows it; `number` is None without page_info."""

    action: str
    number: int | None
    members: frozenset[str]

    @classmethod
    def of(cls, body: dict[str, Any]) -> "PageSent":
        parameters = body["parameters"]
        members = parameters.get("members", body.get("members"))
        info = parameters.get("page_info")
        return cls(
            body["action"],
            info["page_count"] if info else None,
            frozenset(member["mixpanel_distinct_id"] for member in members),
        )


@dataclass
class Network:
    """Between Mixpanel and the webhook; in a calm world it only notes."""

    post: Post
    intrude: Post
    rng: random.Random
    rates: Rates = CALM
    accepted: list[PageSent] = field(default_factory=list)
    intruders: list[int] = field(default_factory=list)
    calls: int = 0
    cut: PageSent | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, pages: list[PageSent]) -> None:
        """A sync begins: perhaps one of its pages will never get through."""
        cuts = pages and self._happens(self.rates.abort)
        self.cut = self.rng.choice(pages) if cuts else None

    def __call__(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]] | None:
        page = PageSent.of(body)
        if self._happens(self.rates.intruder):
            self._intrude(body)
        if page == self.cut or self._happens(self.rates.request_lost):
            return None
        answer = self._send(body, page)
        if self._happens(self.rates.duplicate):
            self._send(body, page)
        return None if self._happens(self.rates.answer_lost) else answer

    def _send(
        self, body: dict[str, Any], page: PageSent
    ) -> tuple[int, dict[str, Any]] | None:
        answer = self.post(body)
        with self._lock:
            self.calls += 1
            if answer and answer[0] == 200:
                self.accepted.append(page)
        return answer

    def _intrude(self, body: dict[str, Any]) -> None:
        """The same page for a cohort of a stranger, with a wrong password."""
        forged = body["parameters"] | {"mixpanel_cohort_id": "intruder"}
        answer = self.intrude(body | {"parameters": forged})
        with self._lock:
            self.intruders.append(answer[0] if answer else 0)

    def _happens(self, rate: float) -> bool:
        with self._lock:
            return self.rng.random() < rate


class Sync(CohortSync):
    """A recurring sync that tells its network what it is about to send."""

    def __init__(self, network: Network, cohort: Cohort, **options: Any) -> None:
        self.network = network
        super().__init__(cohort, post=network, **options)

    def _send_all(self, calls: list[PlannedCall]) -> Iterable[Any]:
        numbered = self.dialect.page_info
        self.network.begin(
            [
                PageSent(
                    call.action,
                    call.page if numbered else None,
                    frozenset(call.members),
                )
                for call in calls
            ]
        )
        return super()._send_all(calls)


@dataclass
class History:
    """One cohort whose `people` move in and out, a tenth of them before each sync."""

    name: str
    cohort: Cohort
    sync: Sync
    network: Network
    people: list[str]
    rng: random.Random
    results: list[SyncResult] = field(default_factory=list)

    def move(self, share: float = 0.1) -> None:
        for person in self.people:
            if self.rng.random() < share:
                if person in self.cohort.members:
                    del self.cohort.members[person]
                else:
                    self.cohort.members[person] = {}

    def forget(self) -> None:
        """Mixpanel's snapshot is too old: the next sync is a full one.

        Where that is called `add_members`, who left meanwhile is never named again; no
        receiver can tell, so such a sender keeps its snapshot here.
        """
        if self.sync.dialect.first_sync == "members":
            self.sync.snapshot = None

    def run(self) -> SyncResult:
        self.results.append(self.sync.run())
        return self.results[-1]


def begin(
    cloud: Cloud,
    cohort_id: str,
    dialect: Dialect,
    people: list[str],
    *,
    name: str = "",
    seed: int = 1,
    page_size: int = 1000,
    clock: Callable[[], float] = time.time,
    patience: float = 0.02,
) -> History:
    """A history that has not begun; waits are `patience` times those of Mixpanel."""
    description = cloud.description
    url, username = description["webhook_url"], description["webhook_username"]
    password = description["webhook_password"]
    rng = random.Random(seed)
    network = Network(
        _poster(url, username, password),
        _poster(url, username, password[:-1]),
        random.Random(seed + 1),
    )
    cohort = Cohort(cohort_id, f"Cohort {cohort_id}")
    sync = Sync(
        network,
        cohort,
        dialect=dialect,
        page_size=page_size,
        rng=rng,
        clock=clock,
        sleep=lambda seconds: time.sleep(seconds * patience),
    )
    return History(name, cohort, sync, network, people, random.Random(seed + 2))


def members_at_braze(cloud: Cloud, cohort: Cohort) -> set[str]:
    """Who is in the cohort at Braze."""
    braze: Any = cloud.braze
    members = braze.workspace.cohort_members(
        "mixpanel_cohorts", f"mixpanel_{cohort.id}"
    )
    return set(members)
