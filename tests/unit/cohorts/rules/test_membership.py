"""What each sync states of a profile, and who is a member by that."""

from bridge.cohorts.rules.membership import Confirmed, Member, prune, record_version


def test_the_newest_version_in_force_decides() -> None:
    member = Member("e:u", {"u": {5: True, 6: False}})
    assert not member.is_in(0, frozenset())
    assert member.is_in(0, frozenset({6}))


def test_versions_below_the_baseline_do_not_count() -> None:
    assert not Member("e:u", {"u": {5: True}}).is_in(6, frozenset())


def test_one_profile_that_is_in_keeps_the_braze_user_in() -> None:
    member = Member("e:u", {"a": {6: False}, "b": {5: True}})
    assert member.is_in(0, frozenset())


def test_a_late_page_never_overwrites_a_newer_version() -> None:
    versions, _ = record_version({6: False}, 5, present=True)
    assert not Member("e:u", {"u": versions}).is_in(0, frozenset())


def test_a_page_seen_twice_changes_nothing() -> None:
    once, _ = record_version({}, 5, present=True)
    twice, pairs = record_version(once, 5, present=True)
    assert (once, pairs) == (twice, set())


def test_repeats_are_noticed_in_either_order_of_arrival() -> None:
    assert record_version({5: True}, 6, present=True)[1] == {(6, 5)}
    assert record_version({6: True}, 5, present=True)[1] == {(6, 5)}
    assert record_version({5: True}, 6, present=False)[1] == set()


def test_what_was_taken_back_in_between_is_not_repeated() -> None:
    assert record_version({4: True, 5: False}, 6, present=True)[1] == set()
    assert record_version({4: True, 5: True}, 6, present=True)[1] == {(6, 4), (6, 5)}
    assert record_version({6: False, 7: True}, 5, present=True)[1] == set()


def test_pruning_keeps_what_can_still_matter() -> None:
    versions = {1: True, 2: False, 3: True, 4: False}
    assert prune(versions, 2, (), ()) == {4: False}
    assert prune(versions, 2, (), (4,)) == {3: True, 4: False}
    assert prune(versions, 2, (3,), (4,)) == {2: False, 4: False}
    assert prune(versions, 5, (), ()) == {}


def test_a_new_member_is_not_confirmed() -> None:
    assert Member("e:u").confirmed is Confirmed.UNKNOWN


def test_of_another_destination_nothing_is_known() -> None:
    member = Member("e:u", confirmed=Confirmed.IN, destination="here")
    assert member.confirmed_at("here") is Confirmed.IN
    assert member.confirmed_at("elsewhere") is Confirmed.UNKNOWN


def test_everybody_is_due_on_one_day_of_the_round() -> None:
    members = [Member(f"e:u{number}") for number in range(300)]
    turns = [sum(m.is_due(day, 30) for day in range(30)) for m in members]
    assert set(turns) == {1}
    a_day = [sum(m.is_due(day, 30) for m in members) for day in range(30)]
    assert max(a_day) < 30, "spread, not all at once"
