"""Bring Braze to what the ledger says, some members at a time.

Intent is written before each call to Braze and confirmation after it, so that a crash,
a time-out or a lost answer in between leaves `unknown`, which is asserted again. What
Braze already holds is never sent: there, every write is billed, changed or not.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from bridge.cohorts.messages import (
    CohortKey,
    MeasureRemovalMessage,
    Message,
    RescanMessage,
)
from bridge.cohorts.ports import Ledger, PageStore, Queue, Route
from bridge.cohorts.rules.commit import MAX_ABORTS, Resolution, resolve
from bridge.cohorts.rules.identifiers import Identifier
from bridge.cohorts.rules.membership import Confirmed, Member
from bridge.cohorts.rules.model import Cohort
from bridge.errors import Rejected, RetryableError

MARGIN_SECONDS = 20.0
"""No step begins with less time than this; the rest goes back to the queue."""

RESOLVE_TRIES = 8
"""The webhook writes to the cohort meanwhile; the loser of a race looks again."""


@dataclass(slots=True)
class Pushed:
    """What one message brought about, for the metrics."""

    pushed: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    held_removals: int = 0


@dataclass(frozen=True, slots=True)
class Policy:
    """Settings of the flow.

    A sweep of more than `max_removal_fraction` of a large cohort is held (1: none is).
    Every member is asserted again once in `reassert_days`, and by full syncs (0: none).
    Two writes for one user are `write_gap_seconds` apart: Braze promises no order
    between them, and lags by seconds.
    """

    max_removal_fraction: float = 0.5
    reassert_days: int = 30
    write_gap_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class Pusher:
    """Tells Braze of members; `time_left` gives seconds, `clock` epoch seconds."""

    ledger: Ledger
    pages: PageStore
    queue: Queue
    route: Route
    time_left: Callable[[], float]
    quarantine: Callable[[Message, str], None]
    policy: Policy = Policy()
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep

    def apply(
        self,
        key: CohortKey,
        cohort: Cohort,
        members: Sequence[Member],
        done: Pushed,
        again: Callable[[Member], bool] = lambda _: False,
        *,
        replays: bool = False,
    ) -> None:
        """Save members, telling Braze of those whose membership it does not hold.

        With `again` those who are in are told of even so. Who was put aside is told of
        by a replay alone.
        """
        destination = self.route.destination()
        changes: list[tuple[Member, bool]] = []
        for member in members:
            wanted = member.is_in(cohort.baseline, cohort.aborted)
            held = member.held_by(destination)
            if held is Confirmed.QUARANTINED and not replays:
                continue
            if held is not confirmed(wanted) or (wanted and again(member)):
                changes.append((member, wanted))
        if changes:
            self._keep_apart([member for member, _ in changes])
        now = int(self.clock() * 1000)
        intents = {
            member.key: replace(
                member,
                confirmed=Confirmed.UNKNOWN,
                destination=destination,
                pushed_at=now,
            )
            for member, _ in changes
        }
        self.ledger.save(key, [intents.get(m.key, m) for m in members])
        if not changes:
            return
        results = self.route.push(
            key.cohort,
            cohort.first_name,
            [(Identifier.from_key(m.key), wanted) for m, wanted in changes],
        )
        refusals = [why for _, why in zip(changes, results, strict=True) if why]
        self.ledger.save(
            key,
            [
                replace(intents[member.key], confirmed=confirmed(wanted))
                for member, wanted in changes
            ],
        )
        # Only now: until they are saved they are asked again.
        done.rejected.update(refusals)
        done.pushed += len(changes) - len(refusals)

    def _keep_apart(self, members: Iterable[Member]) -> None:
        """Wait until no earlier write for one of the members can be under way."""
        latest = max(member.pushed_at for member in members)
        gap = self.policy.write_gap_seconds
        wait = latest / 1000 + gap - self.clock()
        if 0 < wait <= gap:
            self.sleep(wait)

    def address(self, key: CohortKey, cohort: Cohort, done: Pushed) -> None:
        """See that the cohort has its name in Braze, and what follows a move.

        Of another destination nothing is known: all members are looked through.
        """
        destination = self.route.destination()
        if cohort.destination != destination:
            if cohort.destination:
                self.queue.send(
                    RescanMessage(
                        key=key,
                        baseline=cohort.baseline,
                        # A move back within minutes is another one.
                        destination=f"{destination} {cohort.revision}",
                    )
                )
            self.ledger.set_destination(key, destination)
        told = f"{destination} {cohort.name}"
        if cohort.name and cohort.published_name != told:
            try:
                self.route.name(key.cohort, cohort.name)
            except Rejected as error:
                # Its members matter more than what Braze calls it.
                done.rejected[error.reason] += 1
            self.ledger.set_published_name(key, told)

    def resolve(self, key: CohortKey) -> None:
        """Write what the pages so far amount to, and start what it tells."""
        guarded = self.policy.max_removal_fraction < 1
        self.decide(key, lambda cohort: resolve(cohort, guarded=guarded))

    def decide(
        self, key: CohortKey, decision: Callable[[Cohort], Resolution]
    ) -> Resolution:
        """Write a verdict; what follows from it is sent before it is written.

        Should we die in between, this message comes again and, being ahead in the
        group, writes it in time.
        """
        for _ in range(RESOLVE_TRIES):
            cohort = self.ledger.cohort(key)
            resolution = decision(cohort)
            if not resolution.changes(cohort):
                return resolution
            for message in _following(key, cohort, resolution):
                self.queue.send(message)
            written = self.ledger.advance(key, cohort, resolution)
            if written and len(resolution.newly_aborted) < MAX_ABORTS:
                return resolution
        raise RetryableError("ledger_contention", "the cohort changes all the time")

    def need_time(self) -> None:
        """Raises `RetryableError` when no further step fits."""
        if self.time_left() < MARGIN_SECONDS:
            raise RetryableError("out_of_time", "the rest follows in the next run")


def _following(key: CohortKey, cohort: Cohort, resolution: Resolution) -> list[Message]:
    """The messages that carry a verdict out."""
    messages: list[Message] = []
    if resolution.rescan:
        aborted = tuple(sorted(cohort.aborted | resolution.newly_aborted))
        messages.append(
            RescanMessage(key=key, baseline=resolution.baseline, aborted=aborted)
        )
    if resolution.measure_removal:
        messages.append(MeasureRemovalMessage(key=key, seq=resolution.measuring))
    return messages


def confirmed(wanted: bool) -> Confirmed:
    """What is known of a member after a call that succeeded."""
    return Confirmed.IN if wanted else Confirmed.OUT
