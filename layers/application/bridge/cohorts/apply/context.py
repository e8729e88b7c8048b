"""What a message is carried out with, and what that brings about."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from bridge.cohorts.cohort_messages import Message
from bridge.cohorts.ports.ledger import Ledger
from bridge.cohorts.ports.page_store import PageStore
from bridge.cohorts.ports.queue import Queue
from bridge.cohorts.ports.reports import Reports
from bridge.cohorts.ports.route import Route
from bridge.cohorts.rules.outcomes import Outcome
from bridge.errors import RetryableError
from bridge.reasons import Reason

SECONDS_FOR_A_STEP = 20.0
"""No step begins with less time than this; the rest is deferred."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Settings of the flow.

    To remove more than `max_removal_fraction` of more than `guarded_members` is held
    (1: nothing is). Every member is reasserted once in `reassert_days`, and by full
    syncs (0: never). Two writes for one user are `write_gap_seconds` apart: Braze
    promises no order between them, and lags by seconds.
    """

    max_removal_fraction: float = 0.5
    guarded_members: int = 100
    reassert_days: int = 30
    write_gap_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class Context:
    """The ports and settings of one message.

    `time_left` is in seconds, `clock` in epoch seconds; `quarantine` takes a message
    that cannot be carried out, and the reason.
    """

    ledger: Ledger
    pages: PageStore
    queue: Queue
    route: Route
    reports: Reports
    time_left: Callable[[], float]
    quarantine: Callable[[Message, str], None]
    policy: Policy = Policy()
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep

    def now_ms(self) -> int:
        """The time of day in ms since the epoch."""
        return int(self.clock() * 1000)

    def has_time(self) -> bool:
        """Whether a further step fits."""
        return self.time_left() >= SECONDS_FOR_A_STEP

    def is_late(self) -> bool:
        """Whether only one more step fits."""
        return self.time_left() < 2 * SECONDS_FOR_A_STEP

    def need_time(self) -> None:
        """Raises `RetryableError` when no further step fits."""
        if not self.has_time():
            raise RetryableError(Reason.OUT_OF_TIME, "the rest follows in the next run")


@dataclass(slots=True)
class Applied:
    """What a message brought about: members pushed, rejected (Braze), skipped (us).

    `kept` are those who keep the identifier they stand under for want of one, `lost`
    those of a full sync of which most have lost theirs. `listed` and `already_in` as in
    `Sync`. `held_removals` and
    `mislabelled` are syncs that wait for an operator. `counts` is what changes in the
    cohort's counts, `outcomes` what became of each member, by key.
    """

    pushed: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    held_removals: int = 0
    kept: int = 0
    lost: int = 0
    mislabelled: int = 0
    listed: int = 0
    already_in: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    outcomes: dict[str, tuple[Outcome, str]] = field(default_factory=dict)
