"""The removal guard counts who would leave, and an operator releases what it holds."""

from bridge.cohorts.apply.context import Applied
from bridge.cohorts.apply.removal_guard import measure_removal, release
from bridge.cohorts.cohort_messages import MeasureRemovalMessage, ReleaseMessage
from tests.model.world import KEY, World, crowd


def held(world: World) -> int:
    """A cohort of 1,100 members and an empty full sync; the seq that is held."""
    world.full(*crowd(0, 1_100), session="s1")
    world.full(session="s2")
    return world.ledger.cohort(KEY).held_removal


def test_a_message_of_a_sync_that_is_no_longer_measured_does_nothing() -> None:
    world = World()
    world.full("a", "b", session="s1")
    before = world.ledger.cohort(KEY)
    message = MeasureRemovalMessage(key=KEY, seq=before.baseline + 1)
    assert measure_removal(world.context(), message) == Applied()
    assert world.ledger.cohort(KEY) == before


def test_only_the_sync_that_is_held_can_be_released() -> None:
    world = World()
    seq = held(world)
    assert seq
    release(world.context(), ReleaseMessage(key=KEY, seq=seq - 1))
    assert world.ledger.cohort(KEY).held_removal == seq
    release(world.context(), ReleaseMessage(key=KEY, seq=seq))
    cohort = world.ledger.cohort(KEY)
    assert (cohort.held_removal, cohort.baseline) == (0, seq)
