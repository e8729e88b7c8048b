"""The order of the writes of the cohort flow, and what holds if one of them fails.

Safety rests on the order: a page is stored before its message is sent, a push is
recorded before its calls, and a resolution is written after the messages that carry it
out. So the order is asserted step by step; then each step fails once, before it is done
or after it; and then the consumer is faster than the sender.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import count
from typing import Any

import pytest

from bridge.cohorts.cohort_messages import Message, RescanMessage
from bridge.cohorts.maintenance import DAY_MS, PATIENCE_MS, run_maintenance
from bridge.cohorts.rules.membership import Confirmed
from tests.fakes.memory_ledger import MemoryQueue
from tests.model.crashes import WRITES, Crash, CrashingPort
from tests.model.world import KEY, World

CALLS = frozenset({"push", "name"})
STEPS = WRITES | CALLS | {"begin_day", "mark_called"}


class RecordingPort:
    """A port that records its writes in a list that it shares with other ports."""

    def __init__(self, port: Any, steps: list[str]) -> None:
        self._port = port
        self._steps = steps

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._port, name)
        if name not in STEPS:
            return real

        def write(*arguments: Any, **named: Any) -> Any:
            # A shard without members saves none.
            if name != "save" or arguments[1]:
                self._steps.append(name)
            return real(*arguments, **named)

        return write


def wrap(world: World, port: Callable[[Any], Any]) -> None:
    """Wrap each port of the world."""
    world.ledger = port(world.ledger)
    world.pages = port(world.pages)
    world.queue = port(world.queue)
    world.braze = port(world.braze)


def recorded(world: World) -> list[str]:
    """The list of all writes from now on."""
    steps: list[str] = []
    wrap(world, lambda port: RecordingPort(port, steps))
    return steps


def taken(steps: list[str]) -> list[str]:
    """The steps since the last call, which are then forgotten."""
    found = [*steps]
    steps.clear()
    return found


ACCEPTED = ["put", "register", "send", "mark_sent"]
PUSHED = ["begin_push", "push", "save", "end_push"]
RESOLVED = ["send", "advance"]

# The order of the steps


def test_a_page_is_stored_and_registered_before_it_is_sent_and_then_marked(
    world: World,
) -> None:
    steps = recorded(world)
    world.call("members", ["a"])
    assert taken(steps) == ACCEPTED
    world.call("members", ["a"])
    assert steps == ["put", "mark_called", "send", "mark_sent"], "it was repeated"


def test_the_push_is_recorded_before_the_call_and_each_member_after_it(
    world: World,
) -> None:
    world.full("a", session="s1")
    world.call("remove_members", ["a"], session="s2")
    named: list[Sequence[str]] = []

    def look(_: object) -> None:
        named.extend(begun.keys for begun in world.ledger.open_pushes(KEY))

    world.braze.on_call = look
    steps = recorded(world)
    world.drain()
    assert steps == [*PUSHED, "mark_processed"]
    assert [[*keys] for keys in named] == [["e:a"]]
    assert not world.ledger.open_pushes(KEY)
    assert world.ledger.members(KEY, ["e:a"])["e:a"].confirmed is Confirmed.OUT


def test_repeats_are_written_first_and_a_resolution_after_its_messages(
    world: World,
) -> None:
    """The second diff repeats `u`: Mixpanel did not count the first, so it aborts."""
    world.full("a", session="s1")
    world.diff(["u"], [], session="s2")
    world.call("add_members", ["u", "w"], session="s3")
    world.call("remove_members", [], session="s3")
    steps = recorded(world)
    world.step()
    assert taken(steps) == ["mark_repeats", "save", *PUSHED, "mark_processed"]
    world.step()
    assert taken(steps) == ["mark_processed", *RESOLVED]
    world.drain()
    assert steps == ["save", "forget_aborted"], "no member has a version of it any more"


def test_measuring_and_rescan_are_sent_before_the_resolution_is_written(
    world: World,
) -> None:
    world.full("a", "b", session="s1")
    steps = recorded(world)
    world.full("a", session="s2")
    page, rescan = ["save", "mark_processed", *RESOLVED], [*PUSHED, "forget_aborted"]
    assert steps == [*ACCEPTED, *page, *RESOLVED, *rescan]


def test_the_rescan_for_a_new_destination_is_sent_before_that_is_recorded(
    world: World,
) -> None:
    world.full("a", session="s1")
    world.braze.workspace = "elsewhere"
    world.call("add_members", ["u"], session="s2")
    steps = recorded(world)
    world.step()
    published = ["name", "send", "publish"]
    assert steps == [*published, *PUSHED, "mark_processed"]


def test_maintenance_records_a_message_or_a_day_once_it_has_sent_it(
    world: World,
) -> None:
    lose_the_message(world)
    world.now += DAY_MS
    steps = recorded(world)
    run_maintenance(world.ledger, world.queue, world.now, 30)
    assert steps == ["send", "mark_sent", "send", "begin_day"]


def lose_the_message(world: World) -> None:
    """A page whose webhook crashed before it sent the message."""
    world.call("members", ["a"])
    message: Any = world.queue.waiting.pop()
    world.forget_sending(message)


# Each step fails once, and its caller tries again


class Once:
    """Crashes at one boundary of a step: before the step is done, or after it."""

    def __init__(self, boundary: int) -> None:
        self._boundary = boundary
        self._passed = count()
        self.failed = False

    def __call__(self) -> bool:
        fails = next(self._passed) == self._boundary
        self.failed = self.failed or fails
        return fails


def each_boundary(run: Callable[[World, Once], None]) -> int:
    """Repeat a run, crashing at each boundary in turn; how many there are."""
    for boundary in count():
        once, world = Once(boundary), World()
        run(world, once)
        if not once.failed:
            return boundary
    raise AssertionError


def crash(world: World, once: Once) -> None:
    wrap(world, lambda port: CrashingPort(port, once, STEPS))


def until_it_succeeds(step: Callable[[], object]) -> None:
    """Repeat what crashed, as the sender and the queue do."""
    for _ in range(2):
        try:
            step()
        except Crash:
            continue
        return
    raise AssertionError("it fails more than once")


def call(world: World, action: str, *people: str, session: str) -> None:
    until_it_succeeds(lambda: world.call(action, people, session=session))


HISTORY: list[tuple[str, dict[str, list[str]], set[str]]] = [
    ("s1", {"members": ["a", "b"]}, {"a", "b"}),
    ("s2", {"add_members": ["u", "v"], "remove_members": ["b"]}, {"a", "u", "v"}),
    # It repeats `u`, so Mixpanel did not count s2.
    ("s3", {"add_members": ["u", "w"], "remove_members": []}, {"a", "b", "u", "w"}),
    ("s4", {"members": ["b", "u"]}, {"b", "u"}),
]


def test_whichever_step_fails_once_each_sync_ends_right() -> None:
    def run(world: World, once: Once) -> None:
        crash(world, once)
        for session, actions, expected in HISTORY:
            world.wait()
            for action, people in actions.items():
                call(world, action, *people, session=session)
            until_it_succeeds(world.drain)
            assert world.braze.members == expected, session
        assert_nothing_is_left(world)

    assert each_boundary(run) > 100


def assert_nothing_is_left(world: World) -> None:
    """Every page that was accepted is processed, and its message is marked as sent."""
    assert world.queue.waiting == []
    world.now += PATIENCE_MS
    assert run_maintenance(world.ledger, world.queue, world.now, 0).resent == 0
    cohort = world.ledger.cohort(KEY)
    assert all(sync.is_processed for sync in cohort.syncs)
    assert cohort.aborted == frozenset()


def test_a_page_that_its_sender_gives_up_is_processed_if_it_was_registered() -> None:
    def run(world: World, once: Once) -> None:
        ports = world.ledger, world.pages, world.queue, world.braze
        crash(world, once)
        with suppress(Crash):
            world.call("members", ["a"])
        world.ledger, world.pages, world.queue, world.braze = ports
        registered = bool(world.ledger.cohort(KEY).newest)
        world.now += PATIENCE_MS
        run_maintenance(world.ledger, world.queue, world.now, 0)
        world.drain()
        assert world.braze.members == ({"a"} if registered else set())
        assert_nothing_is_left(world)

    assert each_boundary(run) == 2 * len(ACCEPTED)


def test_the_next_maintenance_run_completes_one_that_failed() -> None:
    def run(world: World, once: Once) -> None:
        lose_the_message(world)
        world.now += DAY_MS
        crash(world, once)
        until_it_succeeds(
            lambda: run_maintenance(world.ledger, world.queue, world.now, 30)
        )
        begun = [m for m in world.queue.waiting if isinstance(m, RescanMessage)]
        assert [message.days for message in begun] == [30]
        until_it_succeeds(world.drain)
        assert world.braze.members == {"a"}
        assert_nothing_is_left(world)

    assert each_boundary(run) > 8


# A consumer that is faster than the sender


class FastQueue(MemoryQueue):
    """Its consumer has carried out a message before `send` returns."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world
        self._is_consuming = False

    def send(self, message: Message) -> None:
        super().send(message)
        if self._is_consuming:
            return
        self._is_consuming = True
        self._world.drain()
        self._is_consuming = False


def test_a_consumer_that_is_faster_than_the_sender_finds_all_it_needs(
    world: World,
) -> None:
    world.queue = FastQueue(world)
    for session, actions, expected in HISTORY:
        world.wait()
        for action, people in actions.items():
            world.call(action, people, session=session)
        assert world.braze.members == expected, session
    assert_nothing_is_left(world)


@pytest.mark.parametrize("first", [["a"], ["x"]])
def test_so_it_does_where_a_session_is_restarted(
    world: World, first: Iterable[str]
) -> None:
    """The unchanged page counts for the new sync, and has a message of its own."""
    world.full("old", session="s0")
    world.queue = FastQueue(world)
    world.wait()
    world.call("members", first, page=(1, 3), session="s1")
    world.call("members", ["x"], page=(2, 3), session="s1")
    world.call("members", ["a"], page=(1, 3), session="s1")
    world.call("members", ["b"], page=(2, 3), session="s1")
    assert "old" in world.braze.members
    world.call("members", ["c"], page=(3, 3), session="s1")
    assert world.braze.members == {"a", "b", "c"}
    assert_nothing_is_left(world)
