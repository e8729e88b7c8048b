"""One call of Braze's cohort import is one complete diff."""

from bridge.braze.partner_cohorts.server import CohortChange, CohortChanges, Naming
from bridge.cohorts.intake.accept import Accepted
from bridge.cohorts.intake.partner_import import accept_changes, accept_naming
from bridge.cohorts.messages import CohortKey
from tests.model.world import World

KEY = CohortKey(project="acme", cohort="c1")


def imported(world: World, *changes: CohortChange) -> list[Accepted]:
    world.now += 1_000
    return accept_changes(
        "acme",
        CohortChanges("c1", changes),
        f"request-{world.now}",
        world.now,
        ledger=world.ledger,
        pages=world.pages,
        queue=world.queue,
    )


def test_a_call_is_one_sync_with_a_page_for_each_action() -> None:
    world = World()
    add, remove = imported(world, CohortChange(True, ["u"], ["d"], [("n", "label")]))
    assert add.seq == remove.seq
    assert (add.matched, remove.matched) == (3, 0)
    (sync,) = world.ledger.cohort(KEY).syncs
    assert len(sync.accepted) == 2


def test_for_a_user_named_twice_the_last_change_counts() -> None:
    world = World()
    imported(world, CohortChange(True, ["u", "v"]), CohortChange(False, ["u"]))
    world.drain()
    assert world.braze.members == {"v"}


def test_a_call_that_names_nobody_is_no_sync() -> None:
    world = World()
    assert imported(world, CohortChange(True)) == []
    assert world.ledger.cohort(KEY).syncs == ()


def test_an_unusable_identifier_is_skipped_on_its_own_side() -> None:
    add, remove = imported(World(), CohortChange(False, ["null", "u"]))
    assert (add.skipped, remove.skipped) == ({}, {"placeholder_identifier": 1})


def test_a_cohort_can_be_named_before_it_has_members() -> None:
    world = World()
    accept_naming("acme", Naming("c1", "Trial"), ledger=world.ledger)
    assert world.ledger.cohort(KEY).name == "Trial"
