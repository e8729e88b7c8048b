"""A random history in which Mixpanel, the network, the queue and Braze all fail.

The sender is the planner of the Mixpanel stand-in, the receiver the real cohort flow
with its ports in memory. Time is a number, and a history is a function of its seed.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bridge.cohorts.apply.context import Context
from bridge.cohorts.apply.dispatch import consume
from bridge.cohorts.cohort_messages import Message
from bridge.cohorts.intake.webhook import accept
from bridge.cohorts.messages import PageMessage
from bridge.errors import RetryableError
from bridge.mixpanel.cohort_webhook import Postback
from sandbox.mixpanel.cohorts import (
    Cohort,
    Dialect,
    PlannedCall,
    Sessions,
    body_of,
    plan,
)
from tests.model.crashes import Crash, CrashingPort
from tests.model.world import KEY, SOURCES, World

SNAPSHOT_MS = 3 * 86_400_000
TRIES = 6
"""Mixpanel sends a page once and again five times."""


@dataclass(frozen=True, slots=True)
class Rates:
    """How often each fault happens; the defaults are for stress and no forecast."""

    abort: float = 0.25
    request_lost: float = 0.05
    answer_lost: float = 0.05
    final_answer_lost: float = 0.0
    webhook_crashes: float = 0.05
    braze_fails: float = 0.10
    duplicate: float = 0.10
    late: float = 0.03
    consumer_crashes: float = 0.05
    outage: float = 0.02
    """So long that Mixpanel's snapshot expires."""
    renamed: float = 0.05


CALM = Rates(*[0.0] * 11)
WRITES_PER_CALL = 4
"""About how many writes a process makes, at each of which it can crash."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a history ended: the members expected and found in Braze, and the pages."""

    expected: frozenset[str]
    at_braze: frozenset[str]
    accepted: int
    processed: int
    waiting: int
    showed_empty: bool
    """The sender has sent an empty list at least once."""
    needless: int
    """Writes during a full sync that counts, of people whom it states otherwise."""

    @property
    def wrong(self) -> bool:
        return self.expected != self.at_braze


@dataclass
class Simulation:
    """`people` join and leave a cohort in `syncs` syncs, the last two faultless."""

    seed: int
    dialect: Dialect
    rates: Rates = field(default_factory=Rates)
    people: int = 40
    syncs: int = 16
    page_size: int = 7

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.world = self._make_world()
        self.sources = SOURCES
        self.cohort = Cohort(KEY.cohort, "Trial", project_id=KEY.project)
        self.sessions = Sessions(self.rng, reuse=self.dialect.reuse_session)
        self.snapshot: frozenset[str] | None = None
        self.taken_at = 0
        self.failed = False
        self.late: list[tuple[int, PageMessage]] = []
        self.number = 0
        self.faulty = True
        self.enqueued: set[PageMessage] = set()
        self.showed_empty = False
        self.full = False
        self.needless = 0
        self._ledger: Any = CrashingPort(self.world.ledger, self._consumer_crashes)
        self._queue: Any = CrashingPort(self.world.queue, self._consumer_crashes)

    def _make_world(self) -> World:
        return World()

    def run(self) -> Outcome:
        """Run the history; all dead letters are redriven before its end."""
        for number in range(self.syncs):
            self.number = number
            self.faulty = self.number < self.syncs - 2
            self._move()
            self.world.wait()
            since = len(self.world.braze.calls)
            self._sync()
            self._consume()
            self._count_needless(since)
            self._redrive()
        accepted, processed = self._pages()
        waiting = len(accepted - processed - {_place(m) for m in self.enqueued})
        waiting += len({_place(m) for _, m in self.late} - processed)
        outcome = len(accepted), len(processed & accepted), waiting
        self.faulty = False
        self.world.queue.waiting += [message for _, message in self.late]
        self._consume()
        return Outcome(
            frozenset(self.cohort.members),
            frozenset(self.world.braze.members),
            *outcome,
            self.showed_empty,
            self.needless,
        )

    def _count_needless(self, since: int) -> None:
        """What a full sync wrote against its own list."""
        if self.full and not self.failed:
            self.needless += sum(
                present != (person in self.cohort.members)
                for call in self.world.braze.calls[since:]
                for person, present in call
            )

    def _pages(self) -> tuple[set[Any], set[Any]]:
        """All pages that were registered, and those that have been applied."""
        pages = self.world.ledger._at(KEY).pages  # type: ignore[attr-defined]
        return {*pages}, {place for place, page in pages.items() if page.processed}

    def _happens(self, rate: float) -> bool:
        return self.faulty and self.rng.random() < rate

    def _move(self) -> None:
        """About a tenth of the people join or leave; now and then the name changes."""
        members = self.cohort.members
        for number in range(self.people):
            if self.rng.random() < 0.1:
                name = f"u{number}"
                if name in members:
                    del members[name]
                else:
                    members[name] = {}
        if self._happens(self.rates.renamed):
            self.cohort.name = f"Trial {self.number}"
        if self._happens(self.rates.outage):
            self.world.now += SNAPSHOT_MS

    def _sync(self) -> None:
        now = self.world.now
        if self.snapshot is not None and now - self.taken_at > SNAPSHOT_MS:
            self.snapshot = None
        members = frozenset(self.cohort.members)
        self.sessions.begin(after_failure=self.failed)
        calls = self._in_order_of_arrival(
            plan(
                sorted(members),
                self.snapshot,
                self.dialect,
                self.rng,
                self.sessions,
                self.page_size,
            )
        )
        self.full = bool(calls) and calls[0].action == "members"
        self.failed = not self._send_all(calls)
        if not self.failed:
            self.snapshot, self.taken_at = members, now

    def _in_order_of_arrival(self, calls: list[PlannedCall]) -> list[PlannedCall]:
        """Pages that are sent in parallel arrive in any order."""
        arriving: list[PlannedCall] = []
        for at in range(0, len(calls), self.dialect.parallel):
            window = calls[at : at + self.dialect.parallel]
            if self.dialect.parallel > 1:
                self.rng.shuffle(window)
            arriving += window
        return arriving

    def _send_all(self, calls: Sequence[PlannedCall]) -> bool:
        """Whether all pages were answered; a repeated page no longer matters."""
        if not calls:
            return True
        last_new = len(dict.fromkeys(calls)) - 1
        given_up = None
        if self._happens(self.rates.abort):
            given_up = self.rng.randint(0, last_new)
        new: set[PlannedCall] = set()
        for call in calls:
            if call not in new and len(new) == given_up:
                # The last new page must not arrive: a lost last answer is a fault of
                # its own.
                if given_up < last_new and self.rng.random() < 0.5:
                    self._accept(call, crashing=True)
                return False
            new.add(call)
            if not self._send(call, decisive=len(new) == last_new + 1):
                return False
        return not self._happens(self.rates.final_answer_lost)

    def _send(self, call: PlannedCall, *, decisive: bool) -> bool:
        """Send one page with its retries; whether Mixpanel got a 200."""
        self.showed_empty |= not call.members
        for number in range(TRIES):
            self.world.now += 500
            # Nobody can see a lost last answer whose sync leaves no trace.
            sure = decisive and number == TRIES - 1
            if not sure and self._happens(self.rates.request_lost):
                continue
            crashing = not sure and self._happens(self.rates.webhook_crashes)
            answered = self._accept(call, crashing=crashing)
            if self._happens(self.rates.duplicate):
                self._accept(call, crashing=False)
            if answered and (sure or not self._happens(self.rates.answer_lost)):
                return True
        return False

    def _accept(self, call: PlannedCall, *, crashing: bool) -> bool:
        """Accept a call; with `crashing` the webhook ends before or after a write."""
        world = self.world
        steps = iter(range(99))
        end = self.rng.randrange(2 * WRITES_PER_CALL) if crashing else -1
        before = len(world.queue.waiting)
        try:
            accept(
                Postback.model_validate(self._body(call)),
                world.now,
                sources=self.sources,
                ledger=self._crashing(world.ledger, steps, end),
                pages=self._crashing(world.pages, steps, end),
                queue=self._crashing(world.queue, steps, end),
            )
        except Crash:
            crashing = True
        for message in world.queue.waiting[before:]:
            if isinstance(message, PageMessage):
                self._enqueued(message)
        return not crashing

    def _body(self, call: PlannedCall) -> dict[str, Any]:
        return body_of(call, self.cohort, self.dialect)

    def _crashing(self, port: Any, steps: Any, end: int) -> Any:
        return port if end < 0 else CrashingPort(port, lambda: next(steps) == end)

    def _enqueued(self, message: PageMessage) -> None:
        """Some messages go to the dead-letter queue, for one to three syncs."""
        if message not in self.enqueued and self._happens(self.rates.late):
            self.world.queue.waiting.remove(message)
            self.late.append((self.number + self.rng.randint(1, 3), message))
        self.enqueued.add(message)

    def _redrive(self) -> None:
        due = [message for when, message in self.late if when <= self.number]
        self.late = [pair for pair in self.late if pair[0] > self.number]
        self.world.queue.waiting += due
        self._consume()

    def _consume(self) -> None:
        """Carry out the queue in order, each message until it succeeds."""
        waiting = self.world.queue.waiting
        while waiting:
            message = waiting[0]
            try:
                consume(self._context(), message)
            except (RetryableError, Crash):
                continue
            waiting.remove(message)
            if self._happens(self.rates.duplicate):
                self._deliver_twice(waiting, message)

    def _deliver_twice(self, waiting: list[Message], message: Message) -> None:
        """Deliver the message once more, at once or behind all others."""
        waiting.insert(self.rng.choice((0, len(waiting))), message)

    def _context(self) -> Context:
        world = self.world
        if not self.faulty:
            world.braze.before = world.braze.after = lambda: None
            return world.context()
        world.braze.before = self._braze_fails
        world.braze.after = self._braze_fails
        ledger: Any = self._ledger
        return replace(world.context(), ledger=ledger, queue=self._queue)

    def _braze_fails(self) -> None:
        if self._happens(self.rates.braze_fails / 2):
            raise RetryableError("test")

    def _consumer_crashes(self) -> bool:
        return self._happens(self.rates.consumer_crashes / WRITES_PER_CALL)


def _place(message: PageMessage) -> tuple[int, str, str]:
    return message.seq, message.action, message.page
