"""Random histories in which people get other identifiers, lose them, or share them."""

from dataclasses import dataclass
from typing import Any

import pytest

from bridge.cohorts.rules.identifiers import parse_sources
from sandbox.mixpanel import NAMED_DIALECTS
from sandbox.mixpanel.cohorts import PlannedCall
from tests.model.simulation import CALM, Simulation
from tests.model.test_random import CEILINGS, rates_for
from tests.system.claims import record_claim

HISTORIES = 25
SOAK_HISTORIES = 1_000
MOVING = 0.04
"""The share of people whose property changes before each sync."""

EXACT = sorted(
    name
    for name, dialect in NAMED_DIALECTS.items()
    if name not in CEILINGS and dialect.first_sync == "members"
)
"""Without those whose full list bears another name: it removes nobody (rule 25)."""


@dataclass
class Moving(Simulation):
    """People whose user in Braze is a property, with the distinct id behind it.

    Mixpanel does not tell of a property that changes, so a full sync stands before the
    last one, and nobody's property changes after it.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.sources = parse_sources(
            "external_id=$braze_external_id,external_id=mixpanel_distinct_id"
        )
        self.users: dict[str, str] = {}
        self.sent: dict[str, str] = {}
        self.passers = 0
        """Users added within one sync who were out before it and after it."""

    def _move(self) -> None:
        super()._move()
        if self.number > self.syncs - 2:
            return
        for number in range(self.people):
            if self.rng.random() < MOVING:
                chosen = self.rng.randrange(3)
                person, other = f"u{number}", self.rng.randrange(self.people)
                # Another user, none any more, or one that may be somebody else's.
                self.users[person] = (f"x{other}", "", f"u{other}")[chosen]

    def _sync(self) -> None:
        if self.number == self.syncs - 2:
            self.snapshot = None
        self.sent = dict(self.users)
        super()._sync()

    def _consume(self) -> None:
        braze = self.world.braze
        before, first = set(braze.members), len(braze.calls)
        super()._consume()
        added = {
            user for call in braze.calls[first:] for user, present in call if present
        }
        self.passers += len(added - before - braze.members)

    def _body(self, call: PlannedCall) -> dict[str, Any]:
        body = super()._body(call)
        beside = body.get("members")
        for member in body["parameters"]["members"] if beside is None else beside:
            if user := self.sent.get(str(member["mixpanel_distinct_id"])):
                member["$braze_external_id"] = user
        return body

    def expected(self) -> set[str]:
        return {self.users.get(each) or each for each in self.cohort.members}


def ends(name: str, seed: int) -> bool:
    """Whether a history ends as Mixpanel has it."""
    simulation = Moving(seed, NAMED_DIALECTS[name], rates_for(NAMED_DIALECTS[name]))
    simulation.run()
    return simulation.world.braze.members == simulation.expected()


@pytest.mark.parametrize("name", EXACT)
def test_no_history_of_moving_identifiers_ends_wrong(name: str) -> None:
    assert all(ends(name, seed) for seed in range(HISTORIES))


@pytest.mark.soak
def test_nor_do_many() -> None:
    wrong = {
        name: sum(not ends(name, seed) for seed in range(SOAK_HISTORIES))
        for name in EXACT
    }
    record_claim(
        row="A-model, random histories of moving identifiers",
        size=f"{len(EXACT)} dialects x {SOAK_HISTORIES:,} histories of 16 syncs",
        faults=f"all of the model; {MOVING:.0%} of the people a sync get, lose or "
        "share an identifier",
        claim="0 wrong",
        result=f"{sum(wrong.values())} wrong",
    )
    assert sum(wrong.values()) == 0


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("seed", range(3))
def test_r8_without_faults_no_move_is_needless(name: str, seed: int) -> None:
    simulation = Moving(seed, NAMED_DIALECTS[name], CALM)
    simulation.run()
    braze = simulation.world.braze
    assert braze.members == simulation.expected()
    assert (braze.noops, simulation.passers) == (0, 0)
