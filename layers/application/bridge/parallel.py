"""Several calls at a time, none of which outlives the caller."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event


def run_all(tasks: Sequence[Callable[[], None]], at_a_time: int) -> None:
    """Carry out all tasks, each in some thread; return when all have ended.

    When one fails no further one begins, and those under way come to their ends. Raises
    the error of the first in order that has failed.
    """
    if len(tasks) <= 1 or at_a_time == 1:
        for task in tasks:
            task()
        return
    failed = Event()

    def run(task: Callable[[], None]) -> None:
        if failed.is_set():
            return
        try:
            task()
        except BaseException:
            failed.set()
            raise

    with ThreadPoolExecutor(min(len(tasks), at_a_time)) as threads:
        begun = [threads.submit(run, task) for task in tasks]
    for each in begun:
        each.result()
