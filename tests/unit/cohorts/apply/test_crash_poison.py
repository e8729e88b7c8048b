"""A member that crashes the process is found and quarantined alone."""

from bridge.cohorts.apply.crash_poison import CRASHES, SUSPECT_RECEIPTS
from bridge.cohorts.messages import PageMessage
from bridge.cohorts.ports.ledger import PageProgress
from bridge.cohorts.rules.membership import Confirmed
from bridge.errors import RetryableError
from tests.model.world import KEY, World, crowd


def suspected(world: World, people: list[str]) -> PageMessage:
    world.call("members", people)
    message = world.queue.waiting.pop(0)
    assert isinstance(message, PageMessage)
    return message


def test_a_page_resumes_behind_the_users_that_are_applied() -> None:
    world = World()
    message = suspected(world, crowd(0, 5))
    world.ledger.save_progress(message, PageProgress(done=3))
    world.handle(message, SUSPECT_RECEIPTS)
    assert world.braze.members == set(crowd(3, 5))


def test_after_two_crashes_the_step_shrinks_to_a_fourth() -> None:
    world = World()
    message = suspected(world, crowd(0, 16))
    world.ledger.save_progress(message, PageProgress(size=16, tries=CRASHES))
    world.handle(message, SUSPECT_RECEIPTS)
    assert [len(call) for call in world.braze.calls] == [4, 4, 4, 4]


def test_a_single_user_after_two_crashes_is_quarantined_with_a_page_of_its_own() -> (
    None
):
    world = World()
    message = suspected(world, crowd(0, 3))
    world.ledger.save_progress(message, PageProgress(1, size=1, tries=CRASHES))
    applied = world.handle(message, SUSPECT_RECEIPTS)
    assert applied.rejected == {"crash_poison": 1}
    ((alone, reason),) = world.quarantined
    assert isinstance(alone, PageMessage)
    assert (alone.page, alone.reassert, reason) == ("1.1", True, "crash_poison")
    assert [m.distinct_id for m in world.pages.get(KEY, alone.digest)] == ["u0001"]
    assert world.ledger.members(KEY, ["e:u0001"])["e:u0001"].confirmed is (
        Confirmed.QUARANTINED
    )
    assert world.braze.members == {"u0002"}


def test_an_error_that_is_raised_counts_as_no_crash() -> None:
    world = World()
    message = suspected(world, ["u"])

    def fail() -> None:
        raise RetryableError("test")

    world.braze.before = fail
    for _ in range(2):
        try:
            world.handle(message, SUSPECT_RECEIPTS)
        except RetryableError:
            assert world.ledger.progress(message).tries == 0
