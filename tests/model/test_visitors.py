"""Random histories of visitors who are known by their devices until they log in."""

from dataclasses import dataclass

import pytest

from sandbox.mixpanel import NAMED_DIALECTS
from tests.model.simulation import CALM, Rates, Simulation
from tests.model.test_moving_identifiers import EXACT
from tests.model.test_random import rates_for
from tests.model.visitors import DEVICE, VisitorWorld, needless, wrong
from tests.model.world import World
from tests.system.claims import record_claim

HISTORIES = 15
SOAK_HISTORIES = 1_000
LOGGING_IN = 0.06
"""The share of visitors who log in before each sync."""


@dataclass
class Visitors(Simulation):
    """Half of the people begin as visitors, of whom some log in.

    A visitor becomes a new user or one whom Braze knows, whose own name may be in the
    cohort as well. Mixpanel may learn of it at once, later, or never; before the last
    two syncs it learns of nothing more, and nobody logs in.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        workspace = self.profiled.workspace
        self.named: dict[str, str] = {}
        self.visitors: dict[str, str] = {}
        for number in range(self.people):
            if number % 2:
                self.named[f"u{number}"] = f"{DEVICE}d{number}"
                visitor = workspace.add_user(devices=[f"d{number}"])
                self.visitors[f"{DEVICE}d{number}"] = visitor.braze_id
            if number % 4 != 1:
                workspace.add_user(f"u{number}")
        self.known: set[str] = set()
        self.passers = 0
        """Profiles added within one sync that were out before it and after it."""
        self.moved: list[tuple[str, bool]] = []

    def _make_world(self) -> World:
        world = VisitorWorld()
        self.profiled = world.profiled
        return world

    def _move(self) -> None:
        """People join and leave under the names that Mixpanel has for them."""
        names = self.cohort.members
        for number in range(self.people):
            person = f"u{number}"
            name = self.named.get(person, person)
            if self.rng.random() < 0.1:
                if name in names:
                    del names[name]
                else:
                    names[name] = {}
            if self.number < self.syncs - 2 and self.rng.random() < LOGGING_IN:
                self._log_in(number, person)

    def _log_in(self, number: int, person: str) -> None:
        """Log a visitor in at Braze, as somebody else too; maybe Mixpanel learns it.

        A device that changes hands after its visitor was merged into a known user leads
        nowhere any more: whom it was written by cannot be found by anything.
        """
        workspace = self.profiled.workspace
        device = f"{DEVICE}d{number}"
        profile = workspace.find("device", f"d{number}")
        if profile is None or profile.braze_id != self.visitors[device]:
            return
        other = self.rng.randrange(self.people) if self.rng.random() < 0.2 else number
        user = f"u{other}" if workspace.find("external_id", f"u{other}") else person
        workspace.log_in(f"d{number}", user)
        if user == person and self.rng.random() < 0.5:
            self.named.pop(person, None)
            if device in self.cohort.members:
                del self.cohort.members[device]
                self.cohort.members[person] = {}

    def _sync(self) -> None:
        self.known |= {*self.cohort.members}
        super()._sync()

    def _consume(self) -> None:
        held, first = self.profiled.holders, len(self.profiled.writes)
        super()._consume()
        writes = self.profiled.writes[first:]
        added = {braze_id for braze_id, present in writes if present}
        self.passers += len(added - held - self.profiled.holders)
        self.moved += needless(self.profiled, writes, self.known)

    def _count_needless(self, since: int) -> None:
        """Not by names, for two may lead to one profile; see `moved`."""

    def wrong(self) -> set[str]:
        """Whose membership differs from what Mixpanel lists."""
        listed = frozenset(self.cohort.members)
        return wrong(self.profiled, listed, self.visitors)

    @property
    def is_wrong(self) -> bool:
        """Not where the sender never sent an empty list: see `test_random`."""
        return bool(self.wrong()) and self.showed_empty


def ended(name: str, seed: int, rates: Rates | None = None) -> Visitors:
    dialect = NAMED_DIALECTS[name]
    simulation = Visitors(seed, dialect, rates or rates_for(dialect))
    simulation.run()
    return simulation


@pytest.mark.parametrize("name", EXACT)
def test_no_history_of_visitors_ends_wrong(name: str) -> None:
    assert not any(ended(name, seed).is_wrong for seed in range(HISTORIES))


@pytest.mark.soak
def test_nor_do_many() -> None:
    histories = (ended(name, seed) for name in EXACT for seed in range(SOAK_HISTORIES))
    wrong = sum(each.is_wrong for each in histories)
    record_claim(
        row="A-model, random histories of visitors who log in",
        size=f"{len(EXACT)} dialects x {SOAK_HISTORIES:,} histories of 16 syncs",
        faults=f"all of the model; {LOGGING_IN:.0%} of the visitors a sync log in, "
        "as new users, as known ones or as somebody else",
        claim="0 wrong",
        result=f"{wrong} wrong",
    )
    assert wrong == 0


@pytest.mark.parametrize("name", EXACT)
def test_r8_without_faults_nobody_is_moved_in_vain(name: str) -> None:
    """Where a sync's pages come in another order, a device may leave before its user
    has joined: that user is out for a moment, which no single page can tell."""
    dialect = NAMED_DIALECTS[name]
    for seed in range(3):
        calm = ended(name, seed, CALM)
        assert (calm.wrong(), calm.passers) == (set(), 0)
        if not dialect.shuffled and dialect.parallel == 1:
            assert calm.moved == []
