"""A page is one entry a Braze user, applied in steps."""

from bridge.cohorts.apply.page import PageWork, User, apply_in_steps, by_user
from bridge.cohorts.messages import PageMessage
from bridge.cohorts.pages import Listed
from bridge.cohorts.rules.identifiers import Identifier, Kind
from bridge.cohorts.rules.membership import Member
from tests.model.world import KEY, World, crowd

U, V = Identifier(Kind.EXTERNAL_ID, "u"), Identifier(Kind.EXTERNAL_ID, "v")


def work_of(world: World) -> PageWork:
    """The first message of the queue, about to be applied."""
    message = world.queue.waiting[0]
    assert isinstance(message, PageMessage)
    return PageWork.begin(world.context(), message)


def test_profiles_of_one_braze_user_stand_together_and_once() -> None:
    p1, p2, p3 = Listed("p1", U), Listed("p2", V), Listed("p3", U)
    nobody = Listed("p4", None, reason="no_identifier")
    assert by_user([p1, p2, p3, p1, nobody]) == [
        ("e:u", [p1, p3]),
        ("e:v", [p2]),
        ("", [nobody]),
    ]


def test_a_page_is_applied_in_steps_of_full_calls() -> None:
    world = World()
    world.braze.step = 2
    world.call("members", crowd(0, 5))
    work = work_of(world)
    apply_in_steps(work, work.users)
    assert [len(call) for call in world.braze.calls] == [2, 2, 1]
    assert work.applied.pushed == 5


def test_a_page_records_its_version_and_leaves_newer_ones() -> None:
    world = World()
    world.call("members", ["u"], session="s1")
    newer = world.call("members", [], session="s2").seq
    work = work_of(world)
    world.ledger.save(KEY, [Member("e:u", {"u": {newer: False}})])
    (member,) = work.record(
        [User("e:u", [Listed("u", Identifier(Kind.EXTERNAL_ID, "u"))])]
    )
    assert member.profiles == {"u": {work.message.seq: True, newer: False}}
