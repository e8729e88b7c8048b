"""Mixpanel, a network, a queue and Braze, all of which fail: the model of a history.

The sender is the stand-in's own planner; the receiver is the real cohort flow on its
ports in memory. Time is a number. A history is a function of its seed.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from bridge.cohorts.accept import accept
from bridge.cohorts.identity import parse_sources
from bridge.cohorts.message import PageMessage
from bridge.errors import RetryableError
from bridge.mixpanel.cohort_webhook import Postback
from sandbox.mixpanel.cohorts import Cohort, Dialect, PlannedCall, body_of, plan
from tests.model.world import KEY, World

INTERVAL_MS = 1_800_000
SNAPSHOT_MS = 3 * 86_400_000
SOURCES = parse_sources("external_id=mixpanel_distinct_id")


class Crash(Exception):
    """The process ends here; what it had in hand comes again."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Shares of what goes wrong; the defaults are stress, not a forecast."""

    abort: float = 0.25
    request_lost: float = 0.05
    answer_lost: float = 0.05
    final_answer_lost: float = 0.0
    braze_fails: float = 0.10
    duplicate: float = 0.10
    late: float = 0.03
    crash: float = 0.05


CALM = Rates(0, 0, 0, 0, 0, 0, 0, 0)


@dataclass
class Simulation:
    """`people` move in and out of a cohort for `syncs` syncs, the last two clean."""

    seed: int
    dialect: Dialect
    rates: Rates = field(default_factory=Rates)
    people: int = 40
    syncs: int = 16
    page_size: int = 7

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.world = World()
        self.cohort = Cohort(KEY.cohort, "Trial", project_id=KEY.project)
        self.snapshot: frozenset[str] | None = None
        self.taken_at = 0
        self.session = ""
        self.late: list[PageMessage] = []
        self.ids = count(1)
        self.faulty = True
        self.accepted: set[tuple[int, str, str]] = set()

    def run(self) -> tuple[set[str], set[str]]:
        """Mixpanel's members and Braze's at the end."""
        for number in range(self.syncs):
            self.faulty = number < self.syncs - 2
            self._move()
            self.world.wait()
            self._sync()
            self._consume()
            self._redrive()
        self.faulty = False
        self.world.queue.waiting += self.late
        self.late = []
        self._consume()
        return set(self.cohort.members), set(self.world.braze.members)

    def _happens(self, rate: float) -> bool:
        return self.faulty and self.rng.random() < rate

    def _move(self) -> None:
        """About a tenth of the people change sides."""
        for number in range(self.people):
            if self.rng.random() < 0.1:
                name = f"u{number}"
                if name in self.cohort.members:
                    del self.cohort.members[name]
                else:
                    self.cohort.members[name] = {}

    def _new_session(self) -> str:
        if not (self.dialect.reuse_session and self.session):
            self.session = f"s{next(self.ids)}"
        return self.session

    def _sync(self) -> None:
        now = self.world.now
        if self.snapshot is not None and now - self.taken_at > SNAPSHOT_MS:
            self.snapshot = None
        members = frozenset(self.cohort.members)
        calls = plan(
            sorted(members),
            self.snapshot,
            self.dialect,
            self.rng,
            self._new_session,
            self.page_size,
        )
        aborts = self._happens(self.rates.abort)
        last = self.rng.randrange(len(calls)) if aborts and calls else len(calls)
        for number, call in enumerate(calls):
            if number == last:
                return
            final = number == len(calls) - 1
            if not self._send(call, final):
                return
        self.snapshot, self.taken_at, self.session = members, now, ""

    def _send(self, call: PlannedCall, final: bool) -> bool:
        """One page with its retries; whether Mixpanel got a 200."""
        body = body_of(call, self.cohort, self.dialect)
        for _ in range(6):
            self.world.now += 500
            if self._happens(self.rates.request_lost):
                continue
            self._accept(body)
            if self._happens(self.rates.duplicate):
                self._accept(body)
            if not final and self._happens(self.rates.answer_lost):
                continue
            # Nobody can see a lost last answer whose sync leaves no trace.
            return not (final and self._happens(self.rates.final_answer_lost))
        return False

    def _accept(self, body: dict[str, Any]) -> None:
        world = self.world
        waiting = len(world.queue.waiting)
        accept(
            Postback.model_validate(body),
            world.now,
            sources=SOURCES,
            ledger=world.ledger,
            pages=world.pages,
            queue=world.queue,
        )
        for message in world.queue.waiting[waiting:]:
            if isinstance(message, PageMessage):
                page = (message.seq, message.action, message.page)
                if page not in self.accepted and self._happens(self.rates.late):
                    world.queue.waiting.remove(message)
                    self.late.append(message)
                self.accepted.add(page)

    def _consume(self) -> None:
        """Handle the queue in order, each message until it succeeds."""
        waiting = self.world.queue.waiting
        while waiting:
            message = waiting[0]
            self.world.braze.before = self._fault(self.rates.braze_fails / 2)
            self.world.braze.after = self._fault(self.rates.braze_fails / 2)
            try:
                with self._crashes():
                    self.world.handle(message)
            except (RetryableError, Crash):
                continue
            waiting.remove(message)
            if self._happens(self.rates.duplicate):
                waiting.insert(0, message)

    def _fault(self, rate: float) -> Any:
        def fault() -> None:
            if self._happens(rate):
                raise RetryableError("test")

        return fault

    def _crashes(self) -> "_Crashing":
        return _Crashing(self.world.ledger, self._crash_points())

    def _crash_points(self) -> Iterator[bool]:
        while True:
            yield self._happens(self.rates.crash / 4)

    def _redrive(self) -> None:
        """A message from the dead-letter queue comes one to three syncs late."""
        for message in list(self.late):
            if self.rng.random() < 0.5:
                self.late.remove(message)
                self.world.queue.waiting.append(message)


class _Crashing:
    """Lets the process end before or after any write of the ledger."""

    WRITES = ("save", "mark_processed", "advance", "settled")

    def __init__(self, ledger: Any, points: Iterator[bool]) -> None:
        self._ledger = ledger
        self._points = points

    def __enter__(self) -> None:
        for name in self.WRITES:
            real = getattr(self._ledger, name)

            def write(*arguments: Any, _real: Any = real) -> Any:
                if next(self._points):
                    raise Crash
                result = _real(*arguments)
                if next(self._points):
                    raise Crash
                return result

            setattr(self._ledger, name, write)

    def __exit__(self, *_: object) -> None:
        for name in self.WRITES:
            delattr(self._ledger, name)
