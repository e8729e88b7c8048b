"""When a cohort is silent, and what one run of maintenance does."""

import pytest

from bridge.cohorts.maintenance import (
    DAY_MS,
    DISCONNECTED_MS,
    SILENT_MS,
    MaintenanceRun,
    is_silent,
    run_maintenance,
)
from bridge.cohorts.messages import RescanMessage
from bridge.cohorts.ports import IndexedCohort
from tests.model.world import KEY, World


@pytest.mark.parametrize(
    ("silence", "syncs", "expected"),
    [
        (SILENT_MS, 2, False),
        (SILENT_MS + 1, 2, True),
        (SILENT_MS + 1, 1, False),
        (DISCONNECTED_MS - 1, 2, True),
        (DISCONNECTED_MS, 2, False),
    ],
)
def test_a_recurring_cohort_is_silent_until_it_counts_as_disconnected(
    silence: int, syncs: int, expected: bool
) -> None:
    assert is_silent(IndexedCohort(KEY, 1_000, syncs), 1_000 + silence) is expected


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
