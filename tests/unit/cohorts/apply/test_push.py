"""Members are pushed if Braze is not known to hold their membership."""

from dataclasses import replace

import pytest

from bridge.cohorts.apply.push import push
from bridge.cohorts.rules.membership import Confirmed, Member
from bridge.cohorts.rules.model import Cohort
from bridge.errors import RetryableError
from tests.model.world import KEY, World

IN = Member("e:u", {"u": {5: True}}, Confirmed.IN, "here", 1)
LEAVES = replace(IN, profiles={"u": {5: True, 6: False}})


def confirmed(world: World) -> Confirmed:
    return world.ledger.members(KEY, ["e:u"])["e:u"].confirmed


@pytest.mark.parametrize(
    ("member", "call"),
    [
        (IN, None),
        (LEAVES, ("u", False)),
        (replace(IN, confirmed=Confirmed.UNKNOWN), ("u", True)),
        (replace(IN, destination="elsewhere"), ("u", True)),
        (replace(LEAVES, confirmed=Confirmed.OUT), None),
        (replace(IN, confirmed=Confirmed.QUARANTINED), None),
    ],
)
def test_a_member_is_pushed_if_braze_may_hold_something_else(
    member: Member, call: tuple[str, bool] | None
) -> None:
    world = World()
    applied = push(world.context(), KEY, Cohort(), [member])
    assert world.braze.calls == ([[call]] if call else [])
    assert applied.pushed == len(world.braze.calls)
    assert world.ledger.members(KEY, ["e:u"]), "saved in any case"


def test_a_replay_pushes_a_quarantined_member() -> None:
    world = World()
    quarantined = replace(IN, confirmed=Confirmed.QUARANTINED)
    push(world.context(), KEY, Cohort(), [quarantined], is_replay=True)
    assert (world.braze.members, confirmed(world)) == ({"u"}, Confirmed.IN)


def test_only_members_who_are_in_are_reasserted() -> None:
    world = World()
    leaver = replace(LEAVES, key="e:v", confirmed=Confirmed.OUT)
    push(world.context(), KEY, Cohort(), [IN, leaver], reassert=lambda _: True)
    assert world.braze.calls == [[("u", True)]]


def test_a_call_without_an_answer_leaves_the_member_unknown() -> None:
    world = World()

    def fail() -> None:
        assert confirmed(world) is Confirmed.UNKNOWN, "written before the call"
        raise RetryableError("test")

    world.braze.before = fail
    with pytest.raises(RetryableError):
        push(world.context(), KEY, Cohort(), [LEAVES])
    assert confirmed(world) is Confirmed.UNKNOWN


def test_a_rejected_member_is_counted_and_confirmed() -> None:
    world = World()
    world.braze.rejects = frozenset("u")
    applied = push(world.context(), KEY, Cohort(), [LEAVES])
    assert (applied.pushed, applied.rejected) == (0, {"rejected": 1})
    assert confirmed(world) is Confirmed.OUT, "it is not pushed again"


@pytest.mark.parametrize(
    ("ago_ms", "slept"), [(2_000, [3.0]), (5_000, []), (9_000, [])]
)
def test_two_writes_for_one_user_are_kept_apart(
    ago_ms: int, slept: list[float]
) -> None:
    world = World()
    recent = replace(LEAVES, pushed_at=world.now - ago_ms)
    push(world.context(), KEY, Cohort(), [recent])
    assert world.slept == slept
