"""All histories of a small world, walked depth first from shared beginnings.

Two people give four possible memberships, a page holds one person, and the queue is
emptied after each call. The result of a call is a state. Equal states have the same
future, so each is walked once for each number of faults left. Time is a function of the
place in the history: a repeated call arrives at the same moment.
"""

import copy
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache
from itertools import combinations
from operator import attrgetter
from typing import Any

from bridge.cohorts.apply.dispatch import consume
from bridge.cohorts.cohort_messages import Message
from bridge.cohorts.intake.webhook import accept
from bridge.errors import RetryableError
from bridge.mixpanel.cohort_webhook import Postback
from sandbox.mixpanel.cohorts import Cohort, Dialect, PlannedCall, body_of, plan
from tests.fakes.memory_ledger import MemoryLedger
from tests.model.crashes import Crash, CrashingPort
from tests.model.world import KEY, SOURCES, World

CHOICES = (frozenset[str](), frozenset("a"), frozenset("b"), frozenset("ab"))
INTERVAL_MS = 1_800_000

ABORTED = "the sender aborts before the call"
UNSEEN = "the sender never sees the answer to the last call"
REPEATED = "the answer is lost and the call is repeated"
BEFORE = "Braze fails before the call takes effect"
AFTER = "Braze fails after the call took effect"
CRASH = "the consumer crashes before it marks the page as processed"
TWICE = "the consumer crashes at the very end: the message is delivered twice"
LATE = "the message is redriven after the next sync"
LAST = "the message is redriven after the last sync"
FAULTS = (REPEATED, BEFORE, AFTER, CRASH, TWICE, LATE, LAST)

IRRELEVANT = frozenset({"pushed_at", "at", "called_at", "gaps"})
"""Times that no rule reads within two hours and without restarts: states that differ in
them alone have the same future."""

type Changes = frozenset[tuple[str, bool]]


@dataclass(frozen=True, slots=True)
class State:
    """The result of a call; immutable, because many futures begin with it."""

    stored: Any = None
    at_braze: frozenset[str] = frozenset()
    late: tuple[tuple[int, Message], ...] = ()
    snapshot: frozenset[str] | None = None
    failed_since: int | None = None
    """The first sync since the last success, whose session ids may be kept."""
    lost: tuple[Changes, ...] = ()
    """Changes of the syncs whose last answer was lost, until a sync succeeds."""
    any_lost: bool = False
    hidden: bool = False
    """No change of such a sync was repeated, so no receiver can see that it failed."""
    wrong: bool = False
    excused: bool = False


@dataclass(slots=True)
class Tally:
    """Histories that follow a state; no receiver can see that `excused` end wrong."""

    histories: int = 0
    with_lost: int = 0
    wrong: int = 0
    excused: int = 0

    def add(self, other: "Tally") -> None:
        self.histories += other.histories
        self.with_lost += other.with_lost
        self.wrong += other.wrong
        self.excused += other.excused


@dataclass
class Walk:
    """All histories of `syncs` syncs, and one without faults, with at most `faults`."""

    dialect: Dialect
    faults: int
    syncs: int = 4
    expires_at: int | None = None
    """In this sync the snapshot has expired: everybody is sent."""
    wrong: list[tuple[str, ...]] = field(default_factory=list)
    steps: int = 0

    def __post_init__(self) -> None:
        self._ledger = MemoryLedger()
        self._world = World(self._ledger)
        self._seen: dict[Any, Tally] = {}
        self._bodies: dict[PlannedCall, Postback] = {}
        self._path: list[str] = []
        self._frozen: dict[int, tuple[Any, Any]] = {}

    def run(self) -> Tally:
        return self._sync(State(stored={}), 0, self.faults)

    def _sync(self, state: State, number: int, left: int) -> Tally:
        if number == self.syncs:
            left = 0
        key = (number, left, self._key(state))
        if key in self._seen:
            return self._seen[key]
        if number == self.syncs:
            tally = self._seen[key] = self._end(state)
            return tally
        if number == self.expires_at:
            state = replace(state, snapshot=None)
        tally = Tally()
        for members in CHOICES:
            calls = self._plan(state, members, number)
            self._path.append(f"sync {number}: {''.join(sorted(members)) or '-'}")
            tally.add(self._calls(state, members, number, calls, left))
            self._path.pop()
        self._seen[key] = tally
        return tally

    def _plan(
        self, state: State, members: frozenset[str], number: int
    ) -> list[PlannedCall]:
        since = number
        if self.dialect.reuse_session and state.failed_since is not None:
            since = state.failed_since
        return self.planned(state.snapshot, members, since)

    def planned(
        self, snapshot: frozenset[str] | None, members: frozenset[str], since: int
    ) -> list[PlannedCall]:
        """The calls of one sync; `since` names its sessions."""
        numbers = iter(range(9))
        return plan(
            sorted(members),
            snapshot,
            self.dialect,
            random.Random(0),
            lambda: f"s{since}-{next(numbers)}",
            page_size=1,
        )

    def _calls(
        self,
        state: State,
        members: frozenset[str],
        number: int,
        calls: Sequence[PlannedCall],
        left: int,
        at: int = 0,
    ) -> Tally:
        if at == len(calls):
            return self._sync(
                self._succeed(state, members, number, calls), number + 1, left
            )
        key = (number, at, left, tuple(calls), self._key(state))
        if key in self._seen:
            return self._seen[key]
        tally = Tally()
        final = at == len(calls) - 1
        for faults in choices(left, final=final):
            self._path.append(f"{calls[at].action} {calls[at].page}: {faults or 'ok'}")
            rest = left - len(faults)
            if ABORTED in faults:
                failed = self._fail(state, number)
                tally.add(self._sync(failed, number + 1, rest))
            else:
                after = self._step(state, number, calls, at, faults)
                if UNSEEN in faults:
                    after = self._fail(after, number, _changes(calls))
                    tally.add(self._sync(after, number + 1, rest))
                else:
                    tally.add(self._calls(after, members, number, calls, rest, at + 1))
            self._path.pop()
        self._seen[key] = tally
        return tally

    def _end(self, state: State) -> Tally:
        """Redrive what is late; then run one more sync, in which nothing changes."""
        state = self._redrive(state, None)
        members = state.snapshot or frozenset()
        if state.failed_since is None:
            state = self._check(state, members)
            return Tally(1, state.any_lost, state.wrong, state.excused)
        calls = self._plan(state, members, self.syncs)
        for at in range(len(calls)):
            state = self._step(state, self.syncs, calls, at, ())
        state = self._succeed(state, members, self.syncs, calls)
        return Tally(1, state.any_lost, state.wrong, state.excused)

    def _succeed(
        self,
        state: State,
        members: frozenset[str],
        number: int,
        calls: Sequence[PlannedCall],
    ) -> State:
        state = self._redrive(self._resolve_lost(state, calls), number)
        state = replace(state, snapshot=members, failed_since=None)
        return self._check(state, members)

    def _fail(self, state: State, number: int, lost: Changes | None = None) -> State:
        since = number if state.failed_since is None else state.failed_since
        if lost is not None:
            state = replace(state, lost=(*state.lost, lost), any_lost=True)
        return replace(self._redrive(state, number), failed_since=since)

    def _resolve_lost(self, state: State, calls: Sequence[PlannedCall]) -> State:
        if calls[0].action == "members":
            return replace(state, lost=(), hidden=False)
        repeated = _changes(calls)
        hidden = any(lost and not lost & repeated for lost in state.lost)
        return replace(state, lost=(), hidden=state.hidden or hidden)

    def _check(self, state: State, members: frozenset[str]) -> State:
        if state.late or state.at_braze == members:
            return state
        if state.hidden:
            return replace(state, excused=True)
        if not state.wrong:
            end = f"Braze holds {sorted(state.at_braze)}, not {sorted(members)}"
            self.wrong.append((*self._path, end))
        return replace(state, wrong=True)

    def _redrive(self, state: State, number: int | None) -> State:
        due = [m for when, m in state.late if number is None or when == number]
        if not due:
            return state
        later = tuple(pair for pair in state.late if pair[1] not in due)
        world = self._enter(state)
        world.queue.waiting = list(due)
        self._drain(())
        return self._leave(replace(state, late=later))

    def _step(
        self,
        state: State,
        number: int,
        calls: Sequence[PlannedCall],
        at: int,
        faults: tuple[str, ...],
    ) -> State:
        self.steps += 1
        world = self._enter(state)
        world.now = (number + 1) * INTERVAL_MS + at * 1000
        postback = self._postback(calls[at])
        for _ in range(2 if REPEATED in faults else 1):
            accept(
                postback,
                world.now,
                sources=SOURCES,
                ledger=world.ledger,
                pages=world.pages,
                queue=world.queue,
            )
        if LATE in faults or LAST in faults:
            due = number + 1 if LATE in faults else self.syncs + 1
            state = replace(
                state, late=(*state.late, *((due, m) for m in world.queue.waiting))
            )
            world.queue.waiting.clear()
        self._drain(faults)
        return self._leave(state)

    def _drain(self, faults: tuple[str, ...]) -> None:
        world, pending = self._world, set(faults)
        waiting = world.queue.waiting

        def once(fault: str) -> bool:
            happens = fault in pending
            pending.discard(fault)
            return happens

        def fail_once(fault: str) -> None:
            if once(fault):
                raise RetryableError("test")

        world.braze.before = lambda: fail_once(BEFORE)
        world.braze.after = lambda: fail_once(AFTER)
        context = world.context()
        if CRASH in faults:
            crashing: Any = CrashingPort(
                world.ledger, lambda: once(CRASH), frozenset({"mark_processed"})
            )
            context = replace(context, ledger=crashing)
        while waiting:
            message = waiting[0]
            try:
                consume(context, message)
            except (RetryableError, Crash):
                continue
            if not once(TWICE):
                waiting.remove(message)

    def _enter(self, state: State) -> World:
        world = self._world
        self._ledger._cohorts = _copied(state.stored)
        world.braze.members = set(state.at_braze)
        world.queue.waiting = []
        return world

    def _leave(self, state: State) -> State:
        world = self._world
        world.braze.calls.clear()
        return replace(
            state, stored=self._ledger._cohorts, at_braze=frozenset(world.braze.members)
        )

    def _postback(self, call: PlannedCall) -> Postback:
        if call not in self._bodies:
            cohort = Cohort(KEY.cohort, "Trial", project_id=KEY.project)
            body = body_of(call, cohort, self.dialect)
            self._bodies[call] = Postback.model_validate(body)
        return self._bodies[call]

    def _key(self, state: State) -> Any:
        return tuple(map(self._freeze, _values(state)))

    def _freeze(self, value: Any) -> Any:
        """A hashable, equal for equal values; most objects are part of many states."""
        if isinstance(value, dict):
            try:
                return frozenset(value.items())
            except TypeError:
                return frozenset((k, self._freeze(v)) for k, v in value.items())
        if isinstance(value, set):
            return frozenset(value)
        if not hasattr(value, "__dataclass_fields__"):
            return value
        known = self._frozen.get(id(value))
        if known is None:
            frozen = tuple(map(self._freeze, _values(value)))
            if type(value).__dataclass_params__.frozen:
                self._frozen[id(value)] = value, frozen
            return frozen
        return known[1]


@cache
def _getter(kind: Any) -> Callable[[Any], tuple[Any, ...]]:
    names = [each.name for each in fields(kind) if each.name not in IRRELEVANT]
    return attrgetter(*names)


def _values(value: Any) -> tuple[Any, ...]:
    kind: Any = type(value)
    found: tuple[Any, ...] = _getter(kind)(value)
    return found


def choices(left: int, *, final: bool) -> Iterator[tuple[str, ...]]:
    yield ()
    if left:
        yield (ABORTED,)
    possible = (*FAULTS, UNSEEN) if final else FAULTS
    for number in range(1, left + 1):
        for faults in combinations(possible, number):
            if not {LATE, LAST} <= set(faults):
                yield faults


def _changes(calls: Sequence[PlannedCall]) -> Changes:
    return frozenset(
        (member, call.action != "remove_members")
        for call in calls
        if call.action != "members"
        for member in call.members
    )


def _copied(cohorts: Any) -> Any:
    return {
        key: replace(
            stored,
            **{
                each.name: copy.copy(getattr(stored, each.name))
                for each in fields(stored)
            },
        )
        for key, stored in cohorts.items()
    }
