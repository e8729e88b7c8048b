"""When a cohort is silent, and what one run of maintenance does."""

import pytest

from bridge.cohorts.backlog import MAX_WAIT_MS
from bridge.cohorts.cohort_messages import RescanMessage
from bridge.cohorts.maintenance import (
    ALARM_MS,
    DAY_MS,
    PATIENCE_MS,
    SILENT_MS,
    MaintenanceRun,
    is_newly_silent,
    is_silent,
    run_maintenance,
)
from bridge.cohorts.ports.ledger import IndexedCohort
from tests.model.world import KEY, World


@pytest.mark.parametrize(
    ("gap", "silence", "syncs", "silent", "newly"),
    [
        (0, SILENT_MS, 2, False, False),
        (0, SILENT_MS + 1, 2, True, True),
        (0, SILENT_MS + 1, 1, False, False),
        (0, SILENT_MS + ALARM_MS - 1, 2, True, True),
        (0, SILENT_MS + ALARM_MS, 2, True, False),
        (DAY_MS, 3 * DAY_MS, 2, False, False),
        (DAY_MS, 3 * DAY_MS + 1, 2, True, True),
        (60_000, SILENT_MS, 2, False, False),
    ],
)
def test_a_recurring_cohort_is_silent_after_three_of_its_gaps(
    gap: int, silence: int, syncs: int, silent: bool, newly: bool
) -> None:
    cohort = IndexedCohort(KEY, 1_000, syncs, gap_ms=gap)
    assert is_silent(cohort, 1_000 + silence) is silent
    assert is_newly_silent(cohort, 1_000 + silence) is newly


def test_the_reassertion_of_a_day_is_queued_once() -> None:
    world = World()
    world.call("members", ["a"])
    world.drain()
    runs = [run_maintenance(world.ledger, world.queue, 9 * DAY_MS, 30) for _ in "12"]
    assert [run.reasserted for run in runs] == [1, 0]
    assert world.queue.waiting == [RescanMessage(key=KEY, day=9, days=30)]


def test_without_cohorts_there_is_nothing_to_do() -> None:
    world = World()
    assert run_maintenance(world.ledger, world.queue, DAY_MS, 30) == MaintenanceRun()


def waits(world: World, after_ms: int) -> int:
    """What a run finds so many ms after the last call."""
    at = world.now + after_ms
    return run_maintenance(world.ledger, world.queue, at, 0).oldest_wait


def test_the_oldest_page_that_waits_is_measured_however_often_it_was_received() -> None:
    world = World()
    world.call("members", ["a"], page=(1, 2))
    first = world.now
    world.call("members", ["b"], page=(2, 2))
    assert waits(world, PATIENCE_MS) == world.now + PATIENCE_MS - first
    world.drain()
    assert waits(world, PATIENCE_MS) == 0


def test_a_page_that_waits_is_seen_while_others_of_its_sync_still_arrive() -> None:
    world = World()
    world.call("members", ["a"], page=(1, 3))
    world.now += 3 * PATIENCE_MS
    world.call("members", ["b"], page=(2, 3))
    assert waits(world, 0) > 3 * PATIENCE_MS


def test_a_page_that_arrived_a_moment_ago_does_not_wait_yet() -> None:
    world = World()
    world.call("members", ["a"])
    assert waits(world, PATIENCE_MS - 1_001) == 0


def test_a_page_whose_message_has_expired_waits_no_more() -> None:
    world = World()
    world.call("members", ["a"])
    assert waits(world, MAX_WAIT_MS - 1) == MAX_WAIT_MS - 1
    assert waits(world, MAX_WAIT_MS) == 0
