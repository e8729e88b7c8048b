"""Tasks run at a time where threads are open, and nothing outlives them."""

from contextlib import nullcontext
from functools import partial
from threading import Barrier, Event, active_count, current_thread, main_thread

import pytest

from bridge.parallel import run_all, threads


def test_without_threads_all_is_carried_out_in_order_by_the_caller() -> None:
    done: list[tuple[int, bool]] = []

    def task(number: int) -> None:
        done.append((number, current_thread() is main_thread()))

    run_all([partial(task, number) for number in range(5)])
    assert done == [(number, True) for number in range(5)]


def test_as_many_as_allowed_run_at_a_time_and_no_thread_is_left() -> None:
    before, together = active_count(), Barrier(3, timeout=10)

    def meet() -> None:
        together.wait()

    with threads(3):
        run_all([meet] * 9)
    assert active_count() == before


def test_what_a_task_runs_in_turn_waits_for_no_thread() -> None:
    done: list[int] = []

    def outer(number: int) -> None:
        run_all([partial(done.append, 10 * number + inner) for inner in range(3)])

    with threads(1):
        run_all([partial(outer, number) for number in range(3)])
    assert sorted(done) == [0, 1, 2, 10, 11, 12, 20, 21, 22]


@pytest.mark.parametrize("at_a_time", [0, 2])
def test_after_a_failure_no_task_begins_and_the_first_error_is_raised(
    at_a_time: int,
) -> None:
    done: list[int] = []
    failed = Event()

    def task(number: int) -> None:
        if number == 1:
            failed.set()
            raise KeyError(number)
        if at_a_time:
            assert failed.wait(10)
        done.append(number)

    with threads(at_a_time) if at_a_time else nullcontext(), pytest.raises(KeyError):
        run_all([partial(task, number) for number in range(50)])
    assert len(done) < 10
