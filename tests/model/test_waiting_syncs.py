"""What waits: members for the next sync, and syncs for an operator."""

import pytest

from bridge.cohorts.cohort_messages import ReleaseMessage, RetryRejectedMessage
from bridge.cohorts.maintenance import DAY_MS, run_maintenance
from tests.model.world import KEY, World, crowd

PASSING, LASTING = "braze_rejected", "braze_blocked"


def reject(world: World, *people: str, reason: str = PASSING) -> None:
    world.braze.rejects, world.braze.reason = frozenset(people), reason


# A rejection that passes


def test_who_was_rejected_for_a_passing_reason_is_pushed_with_the_next_sync(
    world: World,
) -> None:
    reject(world, "b")
    world.full("a", "b", session="s1")
    reject(world)
    world.diff([], [], session="s2")
    assert world.braze.members == {"a", "b"}
    world.braze.calls.clear()
    world.diff([], [], session="s3")
    assert world.braze.calls == [], "once is enough"
    assert world.ledger.rejected(KEY, "", 9) == {}


def test_whoever_is_rejected_again_waits_for_the_sync_after(world: World) -> None:
    reject(world, "b", "c")
    world.full("a", "b", "c", session="s1")
    for number in range(3):
        world.braze.calls.clear()
        world.diff([], [], session=f"d{number}")
        pushed = sorted(user for call in world.braze.calls for user, _ in call)
        assert pushed == ["b", "c"], "each once a sync"
    reject(world, "c")
    world.diff([], [], session="s5")
    reject(world)
    world.diff([], [], session="s6")
    assert world.braze.members == {"a", "b", "c"}


def test_a_lasting_reason_is_left_to_a_reassertion(world: World) -> None:
    reject(world, "b", reason=LASTING)
    world.full("a", "b", session="s1")
    world.braze.calls.clear()
    world.diff([], [], session="s2")
    assert world.braze.calls == []


def test_who_has_left_meanwhile_is_not_pushed(world: World) -> None:
    reject(world, "b")
    world.full("a", "b", session="s1")
    reject(world)
    world.diff([], ["b"], session="s2")
    assert world.braze.members == {"a"}
    world.braze.calls.clear()
    world.diff([], [], session="s3")
    assert world.braze.calls == []


def test_the_pages_of_one_sync_push_them_once(world: World) -> None:
    reject(world, "a", "b")
    world.full("a", session="s1")
    world.braze.calls.clear()
    world.wait()
    for page, person in enumerate("bcd", 1):
        world.call("add_members", [person], session="s2", page=(page, 3))
    world.call("remove_members", [], session="s2")
    world.drain()
    pushed = [user for call in world.braze.calls for user, _ in call]
    assert sorted(pushed) == ["a", "b", "c", "d"], "each once in this sync"


def test_without_an_earlier_rejection_no_page_asks_for_a_retry(world: World) -> None:
    reject(world, "a")
    for page in (1, 2):
        world.call("members", ["a", f"u{page}"], page=(page, 2))
    world.step()
    world.step()
    assert not [m for m in world.queue.waiting if m.kind == "retry_rejected"]


def test_whoever_is_rejected_again_in_a_first_part_is_not_forgotten(
    world: World,
) -> None:
    world.braze.step = 2
    people = crowd(0, 4)
    reject(world, *people)
    world.full(*people, session="s1")
    reject(world, "u0000")
    world.wait()
    world.call("add_members", [], session="s2")
    world.call("remove_members", [], session="s2")
    while world.queue.waiting:
        if isinstance(world.queue.waiting[0], RetryRejectedMessage):
            world.seconds_left = [60.0, 60.0, 5.0]
        world.step()
        world.seconds_left = ()
    assert world.ledger.cohort(KEY).rejected_in
    reject(world)
    world.diff([], [], session="s3")
    assert world.braze.members == {*people}


# A list that is mislabelled


def add_list(world: World, people: list[str], session: str) -> None:
    """A first sync as Mixpanel's example has it."""
    world.wait()
    world.call("add_members", people, session=session)
    world.call("remove_members", [], session=session)


@pytest.mark.parametrize(
    ("days", "listed", "new", "is_said"),
    [
        (3, 60, 5, True),
        (3, 60, 7, False),
        (3, 50, 0, False),
        (3, 51, 0, True),
        (2.9, 60, 0, False),
    ],
)
def test_a_full_list_by_another_name_is_said(
    world: World, days: float, listed: int, new: int, is_said: bool
) -> None:
    world.full(*crowd(0, 80), session="s1")
    world.now += int(days * DAY_MS)
    add_list(world, crowd(80 - listed + new, 80 + new), "s2")
    applied = world.drain()
    assert applied.mislabelled == is_said
    assert bool(world.ledger.cohort(KEY).mislabelled) == is_said
    assert len(world.braze.members) == 80 + new, "nobody was taken out by it"


def test_an_operator_takes_it_for_the_full_list(world: World) -> None:
    world.full(*crowd(0, 80), session="s1")
    world.now += 3 * DAY_MS
    add_list(world, crowd(0, 70), "s2")
    world.drain()
    world.diff(["later"], [], session="s3")
    seq = world.ledger.cohort(KEY).mislabelled
    world.queue.send(ReleaseMessage(key=KEY, seq=seq))
    world.drain()
    assert world.braze.members == {*crowd(0, 70), "later"}
    assert world.ledger.cohort(KEY).mislabelled == 0


def test_a_later_full_list_makes_good_for_it(world: World) -> None:
    world.full(*crowd(0, 80), session="s1")
    world.now += 3 * DAY_MS
    add_list(world, crowd(0, 70), "s2")
    world.drain()
    world.full(*crowd(0, 70), session="s3")
    assert world.ledger.cohort(KEY).mislabelled == 0
    assert world.braze.members == {*crowd(0, 70)}


def test_a_first_sync_by_that_name_is_none(world: World) -> None:
    add_list(world, crowd(0, 80), "s1")
    assert world.drain().mislabelled == 0


# What waits is said every day


def maintained(world: World) -> int:
    return run_maintenance(world.ledger, world.queue, world.now, 0).waiting


def test_a_held_removal_is_said_once_a_day_until_it_is_released(world: World) -> None:
    world.now += DAY_MS
    world.full(*crowd(0, 200), session="s1")
    world.full("u0000", session="s2")
    seq = world.ledger.cohort(KEY).held_removal
    assert seq
    said = []
    for _ in range(6):
        said += [maintained(world), maintained(world)]
        world.now += DAY_MS // 2
    assert sum(said) == 3
    world.queue.send(ReleaseMessage(key=KEY, seq=seq))
    world.drain()
    world.now += DAY_MS
    assert maintained(world) == 0


def test_a_mislabelled_list_is_said_every_day(world: World) -> None:
    world.full(*crowd(0, 80), session="s1")
    world.now += 3 * DAY_MS
    add_list(world, crowd(0, 80), "s2")
    world.drain()
    for _ in range(3):
        assert maintained(world) == 1
        world.now += DAY_MS
