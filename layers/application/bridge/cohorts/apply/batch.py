"""The messages of one invocation: in order, but for the pages of one sync.

These have no order among themselves, so while one waits for Braze the next ones begin.
Two pages that name the same person or profile never run at the same time, nor does a
page beside one that may be crashing the process.
"""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

from bridge.cohorts.apply.context import Applied, Context
from bridge.cohorts.apply.crash_poison import SUSPECT_RECEIPTS
from bridge.cohorts.apply.dispatch import carry_out
from bridge.cohorts.apply.page import PageWork, apply_in_steps
from bridge.cohorts.apply.push import recover
from bridge.cohorts.cohort_messages import Message
from bridge.cohorts.messages import CohortKey, PageMessage
from bridge.cohorts.retry import log_deferred

PAGES_AT_A_TIME = 4
"""So many keep 16 calls of Braze under way: a page makes 14, and waits for the ledger
before and after them."""


@dataclass(frozen=True, slots=True)
class Job:
    """A message, how often it was received, and what it is carried out with."""

    message: Message
    received: int
    context: Context

    @property
    def page(self) -> PageMessage | None:
        """The page that other pages of its sync may run beside, if it is one."""
        if isinstance(self.message, PageMessage) and self.received < SUSPECT_RECEIPTS:
            return self.message
        return None


class Batch:
    """Carries out jobs, each when its turn comes; a job that cannot be read is None.

    To be closed by `with`: no thread outlives it.
    """

    def __init__(
        self, jobs: Sequence[Job | None], pages_at_a_time: int = PAGES_AT_A_TIME
    ) -> None:
        self._jobs = jobs
        self._pages_at_a_time = pages_at_a_time
        self._threads = ThreadPoolExecutor(pages_at_a_time)
        self._begun: dict[int, Future[PageWork]] = {}
        self._names: dict[int, frozenset[str]] = {}
        self._recovered: set[CohortKey] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for the pages that have begun, and count what they have done.

        They follow a page that failed, so all of them are delivered again.
        """
        self._threads.shutdown()
        for begun in self._begun.values():
            try:
                begun.result().leave()
            except Exception as error:  # noqa: BLE001 - it is delivered again
                log_deferred("page begun and deferred", error)

    def carry_out(self, position: int) -> Applied:
        """Carry out the job there, once all before it have been; raises as `consume`.

        Each has to be carried out in turn until one fails: the others of its cohort are
        then delivered again.
        """
        job = self._jobs[position]
        if job is None:
            raise AssertionError("a job that cannot be read has no turn")
        key = job.message.key
        if key not in self._recovered:
            recover(job.context, key)
            self._recovered.add(key)
        if job.page is None:
            return carry_out(job.context, job.message, job.received)
        for at in range(position, position + self._pages_at_a_time):
            if at not in self._begun and not self._begin(at, beside=job.page):
                break
        return self._begun.pop(position).result().commit()

    def _begin(self, at: int, beside: PageMessage) -> bool:
        """Begin a page, unless it is of another sync or has to wait for others."""
        job = self._jobs[at] if at < len(self._jobs) else None
        page = job and job.page
        if not (job and page and (page.key, page.seq) == (beside.key, beside.seq)):
            return False
        # Taken before the page is read: what they write meanwhile it must not miss.
        under_way = [
            self._names[each] for each, begun in self._begun.items() if not begun.done()
        ]
        try:
            work = PageWork.begin(job.context, page)
        except Exception as error:  # noqa: BLE001 - raised when its turn comes
            self._begun[at] = Future()
            self._begun[at].set_exception(error)
            return True
        self._names[at] = work.names()
        if not all(map(self._names[at].isdisjoint, under_way)):
            return False
        self._begun[at] = self._threads.submit(_run, work)
        return True


def _run(work: PageWork) -> PageWork:
    work.run(apply_in_steps)
    return work
