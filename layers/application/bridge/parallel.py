"""Several calls at a time, none of which outlives the invocation.

Threads are there while a `with threads(...)` lasts, which only a function's handler and
tests open; elsewhere all is carried out one after the other.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event, local


class _Workers:
    """The threads that are open now; `here` is set in those threads themselves."""

    pool: ThreadPoolExecutor | None = None
    here = local()

    def begin(self) -> None:
        self.here.is_one = True

    def free(self) -> ThreadPoolExecutor | None:
        """The threads, for whoever does not hold one of them while it waits."""
        return None if getattr(self.here, "is_one", False) else self.pool


_workers = _Workers()


@contextmanager
def threads(at_a_time: int) -> Iterator[None]:
    """Let `run_all` carry out so many tasks at a time, for all its callers together."""
    with ThreadPoolExecutor(at_a_time, initializer=_workers.begin) as pool:
        _workers.pool = pool
        try:
            yield
        finally:
            _workers.pool = None


def run_all(tasks: Sequence[Callable[[], None]]) -> None:
    """Carry out all tasks, several at a time where threads are open.

    Returns when all have ended.
    When one fails no further one begins, and those under way come to their ends. Raises
    the error of the first in order that has failed. What a task runs in turn is carried
    out within it, one after the other.
    """
    pool = _workers.free()
    if pool is None or len(tasks) <= 1:
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

    begun = [pool.submit(run, task) for task in tasks]
    errors = [each.exception() for each in begun]
    for error in filter(None, errors):
        raise error
