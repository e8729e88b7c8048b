"""Pages that overlap, and a process that dies or a ledger that fails at any write."""

from collections.abc import Callable
from contextlib import suppress
from itertools import count
from threading import Lock
from typing import Any

import pytest

from bridge.cohorts.apply.batch import Batch, Job
from bridge.errors import RetryableError
from tests.model.crashes import WRITES, Crash, CrashingPort
from tests.model.world import KEY, World

STEPS = WRITES | {"push", "count", "set_rejected_in", "save_rejected"}
PEOPLE = [f"u{number}" for number in range(10)]


class Death:
    """The process dies at one boundary of its writes, and writes nothing after that."""

    def __init__(self, boundary: int) -> None:
        self._boundary = boundary
        self._passed = count()
        self._lock = Lock()
        self.came = False

    def __call__(self) -> bool:
        with self._lock:
            self.came = self.came or next(self._passed) == self._boundary
            return self.came


class Failure(Death):
    """One write fails for now; the process lives on."""

    def __call__(self) -> bool:
        with self._lock:
            if next(self._passed) == self._boundary:
                self.came = True
                raise RetryableError("test")
            return False


def deliver(world: World) -> None:
    """One batch as Lambda delivers it: up to the first message that fails."""
    jobs = [Job(message, 1, world.context()) for message in world.queue.waiting[:10]]
    done = 0
    with suppress(Crash, RetryableError), Batch(jobs, 4) as batch:
        for at in range(len(jobs)):
            batch.carry_out(at)
            done += 1
    del world.queue.waiting[:done]


def drain(world: World, crash: Death | None = None) -> None:
    ports = world.ledger, world.queue, world.braze
    if crash:
        for name in ("ledger", "queue", "braze"):
            port: Any = CrashingPort(getattr(world, name), crash, STEPS)
            setattr(world, name, port)

        def between_writes() -> None:
            if crash():
                raise Crash

        ledger: Any = ports[0]
        ledger.between_writes = between_writes
        waiting = ports[1].waiting
        while waiting and not crash.came:
            deliver(world)
        world.ledger, world.queue, world.braze = ports
        ledger.between_writes = lambda: None
    while world.queue.waiting:
        deliver(world)


def sync(world: World, session: str, full: bool, *pages: list[str]) -> None:
    for number, people in enumerate(pages, 1):
        action = "members" if full else "add_members"
        world.call(action, people, page=(number, len(pages)), session=session)
    if not full:
        world.call("remove_members", PEOPLE[:1], session=session)


def history(world: World, crash: Death | None) -> set[str]:
    """A full list in five pages, a diff in three, and a full list that is shorter."""
    world.braze.rejects = frozenset({"u7"})
    sync(world, "s1", True, *([*PEOPLE[at : at + 2]] for at in range(0, 10, 2)))
    drain(world, crash)
    world.wait()
    sync(world, "s2", False, ["v1", "v2"], ["v3"], ["v4"])
    drain(world)
    world.wait()
    sync(world, "s3", True, PEOPLE[:4], ["v1"], ["v4"])
    drain(world)
    return {*PEOPLE[:4], "v1", "v4"}


@pytest.mark.parametrize("kind", [Death, Failure])
def test_whichever_write_meets_it_each_sync_ends_right_and_is_counted_once(
    kind: Callable[[int], Death],
) -> None:
    for boundary in count():
        world, crash = World(), kind(boundary)
        expected = history(world, crash)
        if not crash.came:
            break
        assert world.braze.members == expected, boundary
        cohort = world.ledger.cohort(KEY)
        assert cohort.counts.get("in", 0) == len(expected), boundary
        syncs: Any = world.ledger._at(KEY).syncs  # type: ignore[attr-defined]
        for each in syncs.values():
            accepted = sum(pages.number for pages in each.accepted.values())
            assert each.processed == accepted, boundary
        assert cohort.mislabelled == 0
        assert not world.ledger.open_pushes(KEY)
    assert boundary > 50
