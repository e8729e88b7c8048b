"""Rule 13: what a page states of a profile applies wherever that profile stands."""

from collections.abc import Mapping
from typing import Any

import pytest

from bridge.cohorts.rules.identifiers import parse_sources
from bridge.errors import RetryableError
from tests.model.world import KEY, World

BY_PROPERTY = "external_id=$braze_external_id,external_id=mixpanel_distinct_id"


def person(distinct_id: str, user: str = "") -> Mapping[str, object]:
    named = {"$braze_external_id": user} if user else {}
    return {"mixpanel_distinct_id": distinct_id, **named}


@pytest.fixture
def mixed(world: World) -> World:
    """A world whose profiles have a property for their user in Braze."""
    world.sources = parse_sources(BY_PROPERTY)
    return world


def writes(world: World) -> list[tuple[str, bool]]:
    return [change for call in world.braze.calls for change in call]


def test_a_removal_without_the_property_takes_out_the_user_it_stands_under(
    mixed: World,
) -> None:
    mixed.full(person("d1", "u1"), person("d2", "u2"), session="s1")
    mixed.braze.calls.clear()
    mixed.diff([], [person("d1")], session="s2")
    assert mixed.braze.members == {"u2"}
    assert writes(mixed) == [("u1", False)], "the user d1 is another's"


def test_a_removal_under_a_corrected_identifier_takes_out_the_old_one(
    mixed: World,
) -> None:
    mixed.full(person("d1", "u1"), person("d2", "u2"), session="s1")
    mixed.braze.calls.clear()
    mixed.diff([], [person("d1", "u9")], session="s2")
    assert mixed.braze.members == {"u2"}
    assert writes(mixed) == [("u1", False)]


def test_a_user_who_is_a_member_in_his_own_right_stays_when_a_profile_leaves(
    mixed: World,
) -> None:
    mixed.full(person("d1", "u1"), person("u9"), session="s1")
    mixed.diff([], [person("d1", "u9")], session="s2")
    assert mixed.braze.members == {"u9"}


@pytest.mark.parametrize("by", ["full", "diff"])
def test_a_profile_whose_identifier_is_corrected_moves(mixed: World, by: str) -> None:
    mixed.full(person("d1", "u1"), person("d2", "u2"), session="s1")
    mixed.braze.calls.clear()
    if by == "full":
        mixed.full(person("d1", "u9"), person("d2", "u2"), session="s2")
    else:
        mixed.diff([person("d1", "u9")], [], session="s2")
    assert mixed.braze.members == {"u9", "u2"}
    assert sorted(writes(mixed)) == [("u1", False), ("u9", True)]


def test_a_profile_moves_back_without_a_trace(mixed: World) -> None:
    mixed.full(person("d1", "u1"), session="s1")
    for number, user in enumerate(["u2", "u1", "u3", "u1"], 2):
        mixed.diff([person("d1", user)], [], session=f"s{number}")
        assert mixed.braze.members == {user}
    mixed.diff([], [person("d1")], session="s9")
    assert mixed.braze.members == set()


def test_a_profile_that_gets_the_property_leaves_the_user_of_its_distinct_id(
    mixed: World,
) -> None:
    mixed.full(person("d1"), person("d2"), session="s1")
    mixed.diff([person("d1", "u1")], [], session="s2")
    assert mixed.braze.members == {"u1", "d2"}


def test_profiles_that_lose_their_only_property_keep_the_users_they_stand_under(
    world: World,
) -> None:
    world.sources = parse_sources("external_id=user_id")
    people = [{"mixpanel_distinct_id": f"d{n}", "user_id": f"u{n}"} for n in range(3)]
    world.full(*people, session="s1")
    world.braze.calls.clear()
    world.full(*(person(f"d{n}") for n in range(3)), session="s2")
    assert world.braze.members == {"u0", "u1", "u2"}
    assert writes(world) == []
    world.diff([], [person("d1")], session="s3")
    assert world.braze.members == {"u0", "u2"}


def test_a_profile_that_was_never_seen_is_skipped_without_an_identifier(
    world: World,
) -> None:
    world.sources = parse_sources("external_id=user_id")
    world.wait()
    world.call("members", [person("d1")], session="s1")
    assert world.drain().skipped == {"no_identifier": 1}
    world.diff([], [person("d2")], session="s2")
    assert world.braze.calls == []


def test_a_placeholder_for_a_distinct_id_is_no_profile_that_could_move(
    mixed: World,
) -> None:
    mixed.full(person("unknown", "u1"), person("unknown", "u2"), session="s1")
    assert mixed.braze.members == {"u1", "u2"}
    mixed.diff([], [person("unknown", "u1")], session="s2")
    assert mixed.braze.members == {"u2"}


def test_a_removal_of_a_profile_that_was_never_seen_writes_nothing(
    mixed: World,
) -> None:
    mixed.full(person("d1", "u1"), session="s1")
    mixed.braze.calls.clear()
    mixed.diff([], [person("d7"), person("d8", "u8")], session="s2")
    assert writes(mixed) == []


def test_of_two_profiles_of_one_user_one_may_move(mixed: World) -> None:
    mixed.full(person("d1", "u1"), person("d2", "u1"), session="s1")
    mixed.diff([person("d2", "u2")], [], session="s2")
    assert mixed.braze.members == {"u1", "u2"}
    mixed.diff([], [person("d1")], session="s3")
    assert mixed.braze.members == {"u2"}


def test_a_move_of_an_aborted_sync_is_rolled_back(mixed: World) -> None:
    mixed.full(person("d1", "u1"), person("d2", "u2"), session="s1")
    mixed.wait()
    mixed.call("add_members", [person("d1", "u9")], page=(1, 2), session="s2")
    mixed.drain()
    assert mixed.braze.members == {"u9", "u2"}
    mixed.diff([], [], session="s3")
    assert mixed.braze.members == {"u1", "u2"}


def test_a_late_page_does_not_bring_a_profile_back_from_where_it_moved(
    mixed: World,
) -> None:
    mixed.full(person("d2", "u2"), session="s1")
    mixed.wait()
    mixed.call("add_members", [person("d1", "u1")], session="s2")
    mixed.call("remove_members", [], session="s2")
    late = mixed.queue.waiting.pop(0)
    mixed.drain()
    mixed.diff([person("d1", "u9")], [], session="s3")
    mixed.queue.waiting.append(late)
    mixed.drain()
    assert mixed.braze.members == {"u2", "u9"}


def test_a_first_sync_of_plain_profiles_reads_and_writes_no_index(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.sources = parse_sources(BY_PROPERTY)
    ledger: Any = world.ledger
    for name in ("places", "save_places"):
        monkeypatch.setattr(ledger, name, None)
    world.full("a", "b", "$device:x", session="s1")
    world.diff(["c"], ["a"], session="s2")
    assert not world.ledger.cohort(KEY).has_index


LOST = {
    "no identifier": ("external_id=user_id", "user_id"),
    "a lesser one": ("external_id=user_id,external_id=mixpanel_distinct_id", "user_id"),
    "another kind": ("alias:crm=crm_id,external_id=mixpanel_distinct_id", "crm_id"),
}


@pytest.mark.parametrize("case", LOST)
def test_a_full_sync_whose_profiles_lose_their_identifiers_is_held(
    world: World, case: str
) -> None:
    sources, name = LOST[case]
    world.sources = parse_sources(sources)
    people = [{"mixpanel_distinct_id": f"d{n}", name: f"u{n}"} for n in range(25)]
    world.full(*people, session="s1")
    world.braze.calls.clear()
    world.wait()
    world.call("members", [f"d{n}" for n in range(24)], session="s2")
    applied = world.drain()
    assert (applied.lost, applied.held_removals) == (24, 1)
    assert writes(world) == []
    world.full(*people[:24], session="s3")
    assert world.braze.members == {f"u{n}" for n in range(24)}


def test_a_few_profiles_that_lose_an_identifier_move_to_the_next_entry(
    mixed: World,
) -> None:
    people = [person(f"d{n}", f"u{n}") for n in range(50)]
    mixed.full(*people, session="s1")
    mixed.full(person("d0"), *people[1:], session="s2")
    assert mixed.braze.members == {"d0", *(f"u{n}" for n in range(1, 50))}


def test_a_move_that_is_interrupted_at_braze_is_resumed(mixed: World) -> None:
    mixed.full(person("d1", "u1"), session="s1")
    mixed.wait()
    mixed.call("add_members", [person("d1", "u9")], session="s2")
    mixed.call("remove_members", [], session="s2")

    def fail() -> None:
        raise RetryableError("braze_network")

    mixed.braze.after = fail
    with pytest.raises(RetryableError):
        mixed.step()
    mixed.braze.after = lambda: None
    mixed.drain()
    assert mixed.braze.members == {"u9"}
