"""Pages of one sync overlap; everything else is carried out in order."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Barrier, BrokenBarrierError, active_count
from typing import Any

import pytest

from bridge.cohorts.apply.batch import Batch, Job
from bridge.cohorts.cohort_messages import Message
from bridge.cohorts.messages import CohortKey
from bridge.cohorts.ports.ledger import OpenPush
from bridge.cohorts.rules.identifiers import parse_sources
from bridge.errors import PermanentError, RetryableError
from tests.model.world import KEY, World, crowd


def jobs(world: World, received: int = 1) -> list[Job | None]:
    return [Job(m, received, world.context()) for m in world.queue.waiting]


@contextmanager
def batch(of: Sequence[Job | None], pages_at_a_time: int = 4) -> Iterator[Batch]:
    threads = active_count()
    with Batch(of, pages_at_a_time) as made:
        yield made
    assert active_count() == threads, "no thread is left"


def pages(world: World, *people: Sequence[str], session: str = "s1") -> None:
    for number, each in enumerate(people, 1):
        world.call("members", each, page=(number, len(people)), session=session)


def meeting(world: World, parties: int, seconds: float = 10) -> list[bool]:
    """Whether each call to Braze met `parties - 1` others that were under way."""
    barrier, met = Barrier(parties, timeout=seconds), list[bool]()

    def wait() -> None:
        try:
            barrier.wait()
            met.append(True)
        except BrokenBarrierError:
            met.append(False)

    world.braze.before = wait
    return met


def test_pages_of_one_sync_overlap() -> None:
    world = World()
    pages(world, ["a"], ["b"], ["c"], ["d"])
    met = meeting(world, 4)
    with batch(jobs(world)) as running:
        applied = [running.carry_out(at) for at in range(4)]
    assert met == [True] * 4
    assert [each.pushed for each in applied] == [1] * 4
    assert world.braze.members == {*"abcd"}
    assert world.ledger.cohort(KEY).baseline


@pytest.mark.parametrize(
    "second",
    [
        ["b", "a"],
        [{"mixpanel_distinct_id": "a", "$braze_external_id": "z"}],
        [{"mixpanel_distinct_id": "z", "$braze_external_id": "a"}],
    ],
)
def test_pages_that_name_the_same_person_or_profile_do_not(second: list[Any]) -> None:
    world = World()
    world.sources = parse_sources(
        "external_id=$braze_external_id,external_id=mixpanel_distinct_id"
    )
    world.call("members", ["a"], page=(1, 2))
    world.call("members", second, page=(2, 2))
    met = meeting(world, 2, 0.05)
    with batch(jobs(world)) as running:
        for at in range(2):
            running.carry_out(at)
    assert True not in met


def test_nor_do_pages_of_two_syncs_or_one_that_may_crash_the_process() -> None:
    for received, sessions in ((1, ("s1", "s2")), (4, ("s1", "s1"))):
        world = World()
        for number, (person, session) in enumerate(zip("ab", sessions, strict=True), 1):
            world.call("members", [person], page=(number, 2), session=session)
        met = meeting(world, 2, 0.05)
        with batch(jobs(world, received)) as running:
            for at in range(2):
                running.carry_out(at)
        assert True not in met


def test_a_page_that_fails_ends_its_turn_alone_and_what_has_begun_counts() -> None:
    world = World()
    pages(world, ["a"], ["b"], ["c"])
    rejected = iter([RetryableError("test")])

    def fail_once() -> None:
        for error in rejected:
            raise error

    world.braze.before = fail_once
    with batch(jobs(world), 2) as running, pytest.raises(RetryableError):
        [running.carry_out(at) for at in range(3)]
    world.drain()
    assert world.braze.members == {*"abc"}
    assert world.braze.noops == 0
    assert sum(map(len, world.braze.calls)) == 3, "nobody was pushed twice"
    assert world.ledger.cohort(KEY).counts == {"in": 3}


def test_the_error_of_a_page_comes_when_its_turn_does() -> None:
    world = World()
    pages(world, ["a"], ["b"])
    messages: list[Message] = [*world.queue.waiting]
    world.pages._pages.pop((KEY, getattr(messages[1], "digest", "")))
    with batch(jobs(world)) as running:
        assert running.carry_out(0).pushed == 1
        with pytest.raises(PermanentError):
            running.carry_out(1)


def test_a_cohort_is_recovered_once_before_anything_else() -> None:
    """What another page of this batch is writing must not become unknown."""
    world = World()
    pages(world, ["a"], ["b"], ["c"])
    asked: list[int] = []
    ledger: Any = world.ledger
    real = ledger.open_pushes

    def open_pushes(key: CohortKey) -> Sequence[OpenPush]:
        asked.append(len(world.braze.calls))
        return real(key)  # type: ignore[no-any-return]

    ledger.open_pushes = open_pushes
    with batch(jobs(world)) as running:
        for at in range(3):
            running.carry_out(at)
    assert asked == [0]


def test_a_job_that_cannot_be_read_ends_the_overlap() -> None:
    world = World()
    pages(world, ["a"], ["b"])
    first, second = jobs(world)
    met = meeting(world, 2, 0.05)
    with batch([first, None, second]) as running:
        running.carry_out(0)
        running.carry_out(2)
    assert met == [False, False]


def test_twenty_random_batches_end_as_one_page_after_the_other_would() -> None:
    for seed in range(20):
        world = World()
        people = crowd(0, 60)
        pages(world, *(people[at : at + 7] for at in range(seed, 60, 6)))
        with batch(jobs(world)) as running:
            for at in range(len(world.queue.waiting)):
                running.carry_out(at)
        assert world.braze.members == {*people[seed:]}
        assert world.braze.noops == 0
