"""Members are pushed if Braze is not known to hold their membership."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from bridge.cohorts.apply.context import Applied
from bridge.cohorts.apply.push import push, recover
from bridge.cohorts.ports.route import Change, Conclude, Pushed
from bridge.cohorts.rules.membership import Confirmed, Member
from bridge.cohorts.rules.model import Cohort
from bridge.errors import RetryableError
from tests.model.world import KEY, World

IN = Member("e:u", {"u": {5: True}}, Confirmed.IN, "here", 1)
LEAVES = replace(IN, profiles={"u": {5: True, 6: False}})


def done(
    world: World, cohort: Cohort, members: Sequence[Member], **options: Any
) -> Applied:
    applied = Applied()
    push(world.context(), KEY, cohort, members, applied, **options)
    return applied


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
    applied = done(world, Cohort(), [member])
    assert world.braze.calls == ([[call]] if call else [])
    assert applied.pushed == len(world.braze.calls)
    assert world.ledger.members(KEY, ["e:u"]), "saved in any case"


def test_a_replay_pushes_a_quarantined_member() -> None:
    world = World()
    quarantined = replace(IN, confirmed=Confirmed.QUARANTINED)
    done(world, Cohort(), [quarantined], is_replay=True)
    assert (world.braze.members, confirmed(world)) == ({"u"}, Confirmed.IN)


def test_only_members_who_are_in_are_reasserted() -> None:
    world = World()
    leaver = replace(LEAVES, key="e:v", confirmed=Confirmed.OUT)
    done(world, Cohort(), [IN, leaver], reassert=lambda _: True)
    assert world.braze.calls == [[("u", True)]]


def test_a_call_without_an_answer_leaves_the_member_unknown() -> None:
    world = World()
    world.ledger.save(KEY, [IN])

    def fail() -> None:
        assert world.ledger.open_pushes(KEY), "recorded before the call"
        raise RetryableError("test")

    world.braze.before = fail
    with pytest.raises(RetryableError):
        done(world, Cohort(), [LEAVES])
    (begun,) = world.ledger.open_pushes(KEY)
    for _ in range(2):
        recover(world.context(), KEY)
        member = world.ledger.members(KEY, ["e:u"])["e:u"]
        assert member == replace(
            IN, confirmed=Confirmed.UNKNOWN, pushed_at=begun.at, counted="in"
        )
        assert not world.ledger.open_pushes(KEY)


def test_only_those_become_unknown_whom_an_open_push_has_not_concluded() -> None:
    """Not even where all of it happens within one millisecond."""
    world = World()
    people = [Member(f"e:u{n}", {"u": {5: True}}) for n in range(3)]
    people[2] = replace(people[2], pushed_at=world.now)
    world.ledger.save(KEY, people[2:])

    class Half:
        """Writes the first change, and crashes at the second."""

        def __init__(self) -> None:
            self.step = 300

        def destination(self) -> str:
            return "here"

        def push(
            self, cohort: str, name: str, changes: Sequence[Change], conclude: Conclude
        ) -> None:
            conclude({0: Pushed()})
            raise RetryableError("test")

    route: Any = Half()
    applied = Applied()
    with pytest.raises(RetryableError):
        push(replace(world.context(), route=route), KEY, Cohort(), people, applied)
    assert (applied.pushed, [*applied.outcomes]) == (1, ["e:u0"])
    recover(world.context(), KEY)
    found = world.ledger.members(KEY, ["e:u0", "e:u1", "e:u2"])
    assert {key: member.confirmed for key, member in found.items()} == {
        "e:u0": Confirmed.IN,
        "e:u1": Confirmed.UNKNOWN,
        "e:u2": Confirmed.UNKNOWN,
    }


JOINS = replace(IN, confirmed=Confirmed.OUT)
LASTING = ["braze_blacklisted_external_user_id", "device_unknown"]
PASSING = ["braze_rejected", "braze_400", "braze_too_large"]


def rejected(member: Member, reason: str) -> tuple[World, Member]:
    """A world whose Braze has rejected the member, and the member since then."""
    world = World()
    world.braze.rejects, world.braze.reason = frozenset("u"), reason
    applied = done(world, Cohort(), [member])
    assert (applied.pushed, applied.rejected) == (0, {reason: 1})
    world.braze.calls.clear()
    world.braze.rejects = frozenset()
    return world, world.ledger.members(KEY, ["e:u"])["e:u"]


@pytest.mark.parametrize("reason", [*LASTING, *PASSING])
@pytest.mark.parametrize(("member", "held"), [(JOINS, "out"), (LEAVES, "in")])
def test_a_rejection_is_no_confirmation(member: Member, held: str, reason: str) -> None:
    _, member = rejected(member, reason)
    assert (member.confirmed, member.rejected) == (held, reason)


@pytest.mark.parametrize("reason", PASSING)
@pytest.mark.parametrize("member", [JOINS, LEAVES])
def test_a_member_rejected_for_a_passing_reason_is_pushed_again(
    member: Member, reason: str
) -> None:
    world, member = rejected(member, reason)
    done(world, Cohort(), [member])
    assert len(world.braze.calls) == 1
    assert world.ledger.members(KEY, ["e:u"])["e:u"].rejected == ""


@pytest.mark.parametrize("reason", LASTING)
def test_a_member_rejected_for_good_is_pushed_again_by_a_reassertion_alone(
    reason: str,
) -> None:
    world, member = rejected(JOINS, reason)
    done(world, Cohort(), [member])
    assert world.braze.calls == []
    done(world, Cohort(), [member], reassert=lambda _: True)
    assert world.braze.members == {"u"}
    assert confirmed(world) is Confirmed.IN


@pytest.mark.parametrize(
    ("ago_ms", "slept"), [(2_000, [3.0]), (5_000, []), (9_000, [])]
)
def test_two_writes_for_one_user_are_kept_apart(
    ago_ms: int, slept: list[float]
) -> None:
    world = World()
    recent = replace(LEAVES, pushed_at=world.now - ago_ms)
    done(world, Cohort(), [recent])
    assert world.slept == slept
