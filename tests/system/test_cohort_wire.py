"""A-wire: histories full of faults through the real functions; the end is compared.

Rounds are half an hour apart for the API, so that many cohorts sync at once and a sync
ends before the next begins; what the consumer has not done by then waits.
"""

import random
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from bridge.cohorts.messages import CohortKey
from sandbox.cloud import Cloud
from sandbox.mixpanel import NAMED_DIALECTS
from tests.system.accounts import (
    accounts,
    cohorts_in_ledger,
    quarantined_pages,
    waiting,
)
from tests.system.claims import record_claim
from tests.system.syncs import (
    AT_ONCE,
    CALM,
    HALF_AN_HOUR,
    Clock,
    History,
    PageSent,
    Rates,
    begin,
    members_at_braze,
)

# Without page_info or empty calls it stays open whether a sync was aborted.
IMPERFECT = {"captured", "empty calls left out", "reused session, shuffled"}
BRAZE_FAULTS = {
    "429": 0.02,
    "429 bare": 0.01,
    "423": 0.02,
    "503": 0.02,
    "502": 0.01,
    "reset before": 0.01,
    "reset after": 0.02,
    "empty": 0.01,
}
STALLS = {"stall": 0.001, "stall before": 0.001}


@dataclass(frozen=True, slots=True)
class Size:
    """A history a dialect and seed, of `rounds` syncs each, the last two clean.

    Every `kill_every` calls a function is killed, the two in turn. Of ten histories one
    has pages of 1,000.
    """

    seeds: range
    rounds: int
    kill_every: int
    faults: dict[str, float]
    wide: int
    drain: float


QUICK = Size(range(1), 7, 50, BRAZE_FAULTS, 0, 180)
SOAK = Size(range(24), 14, 120, BRAZE_FAULTS | STALLS, 10, 1800)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def busy_cloud(built: Path, clock: Clock) -> Iterator[Cloud]:
    """More processes, for many of them wait for Braze; crashes are found out soon."""
    with Cloud(
        built, parameters=AT_ONCE, concurrency=4, clock=clock, redelivery=1
    ) as running:
        yield running


class Reaper:
    """Kills a function every so many calls, the webhook and the consumer in turn."""

    def __init__(self, cloud: Cloud, every: int) -> None:
        self._cloud = cloud
        self._every = every
        self._calls = count(1)
        self._lock = threading.Lock()
        self.kills = 0
        self.at_work = True

    def __call__(self) -> None:
        with self._lock:
            if not self.at_work or next(self._calls) % self._every:
                return
            self.kills += 1
            of_webhook = self.kills % 2
        name = "CohortWebhookFunction" if of_webhook else "CohortConsumerFunction"
        self._cloud.kill(name)


def test_a_wire(busy_cloud: Cloud, clock: Clock) -> None:
    run(busy_cloud, clock, QUICK)


@pytest.mark.soak
@pytest.mark.parametrize("seeds", [range(24), range(24, 48)], ids=["first", "second"])
def test_a_wire_at_full_size(busy_cloud: Cloud, clock: Clock, seeds: range) -> None:
    """Together about 20,000 pages, in two halves: the local cloud keeps all it got."""
    run(busy_cloud, clock, replace(SOAK, seeds=seeds))


def run(cloud: Cloud, clock: Clock, size: Size) -> None:
    braze: Any = cloud.braze
    histories = prepare(cloud, clock, size)
    reaper = Reaper(cloud, size.kill_every)
    for history in histories:
        history.network.rates = Rates()
        history.sync._progress = lambda _: reaper()
    braze.faults.rates = size.faults
    with ThreadPoolExecutor(4) as pool:
        for number in range(size.rounds):
            if number == size.rounds - 2:
                braze.faults.clear()
                reaper.at_work = False
                for history in histories:
                    history.network.rates = CALM
            for history in histories:
                history.move()
                if number == size.rounds // 2:
                    history.forget()
            list(pool.map(History.run, histories))
            clock.advance(HALF_AN_HOUR)
    cloud.drain(size.drain)
    report(cloud, size, histories, reaper.kills)


def prepare(cloud: Cloud, clock: Clock, size: Size) -> list[History]:
    braze: Any = cloud.braze
    histories = []
    numbers = count(1 + size.seeds.start * len(NAMED_DIALECTS))
    for seed in size.seeds:
        for name, dialect in NAMED_DIALECTS.items():
            number = next(numbers)
            wide = size.wide and number % size.wide == 0
            rng = random.Random(number)
            page_size = 1000 if wide else rng.randint(5, 20)
            people = [f"w{number}-{n}" for n in range(2500 if wide else 4 * page_size)]
            for person in people:
                braze.workspace.add_user(external_id=person)
            histories.append(
                begin(
                    cloud,
                    f"{number}",
                    dialect,
                    people,
                    name=name,
                    seed=1000 * seed + number,
                    page_size=page_size,
                    clock=clock,
                )
            )
    return histories


def report(cloud: Cloud, size: Size, histories: list[History], kills: int) -> None:
    keys = [
        CohortKey(project=h.cohort.project_id, cohort=h.cohort.id) for h in histories
    ]
    ledger = accounts(cloud, keys)
    quarantined = quarantined_pages(cloud)
    wrong: Counter[str] = Counter()
    lost: list[tuple[str, PageSent]] = []
    answered = accepted = unprocessed = 0
    for history in histories:
        cohort = history.cohort
        wrong[history.name] += members_at_braze(cloud, cohort) != set(cohort.members)
        account = ledger[cohort.id]
        gone = set(history.network.accepted) - account.registered
        lost += [(history.name, page) for page in gone]
        answered += len(history.network.accepted)
        accepted += len(account.accepted)
        unprocessed += (
            len(account.accepted - account.processed) - quarantined[cohort.id]
        )
    exact = sum(n for name, n in wrong.items() if name not in IMPERFECT)
    left = waiting(cloud) + waiting(cloud, "CohortDeadLetterQueue")
    calls = sum(h.network.calls for h in histories)
    intruders = Counter(s for h in histories for s in h.network.intruders)
    syncs = [result for h in histories for result in h.results]
    failed = sum(not result.success for result in syncs)
    faults = ", ".join(f"{kind} {rate:.1%}" for kind, rate in size.faults.items())
    record_claim(
        row="A-wire",
        size=f"{len(NAMED_DIALECTS)} dialects x {len(size.seeds)} seeds x "
        f"{size.rounds} syncs ({failed} of {len(syncs)} failed): {calls} calls, "
        f"{accepted} pages",
        faults=f"{Rates()}; Braze {faults}; {kills} SIGKILLs; "
        f"seeds {size.seeds[0]}-{size.seeds[-1]}",
        claim="0 wrong after two clean syncs, 0 pages lost, accounts closed",
        result=f"{exact} wrong, {len(lost)} of {answered} pages answered 2xx lost, "
        f"{unprocessed} neither processed nor quarantined, {left} left waiting, "
        f"{sum(quarantined.values())} quarantined",
    )
    for name in sorted(IMPERFECT):
        record_claim(
            row=f"A-wire, {name}",
            size=f"{len(size.seeds)} histories",
            faults="the same",
            claim="a rate: its messages do not say whether a sync was aborted",
            result=f"{wrong[name]} wrong",
        )
    record_claim(
        row="A-wire, strangers",
        size=f"{intruders.total()} calls",
        faults="right user, password cut by one character",
        claim="0 accepted",
        result=f"{intruders.total() - intruders[401]} not answered 401",
    )
    assert +Counter({n: c for n, c in wrong.items() if n not in IMPERFECT}) == Counter()
    assert (lost, unprocessed, left) == ([], 0, 0)
    assert set(intruders) == {401}
    assert "intruder" not in cohorts_in_ledger(cloud)
    assert kills >= 2
    assert failed >= len(histories) // 4
