"""A call of Mixpanel's webhook becomes one page."""

from tests.model.world import KEY, World


def test_members_without_an_identifier_are_skipped_by_reason() -> None:
    world = World()
    members = [{"mixpanel_distinct_id": "a"}, {"mixpanel_distinct_id": "null"}, {}, 7]
    accepted = world.call("members", [], members=members)
    assert accepted.matched == 1
    assert accepted.skipped == {
        "placeholder_identifier": 1,
        "no_identifier": 1,
        "not_an_object": 1,
    }


def test_the_cohort_is_that_of_the_call() -> None:
    world = World()
    assert world.call("members", ["a"], name="Trial").key == KEY
    assert world.ledger.cohort(KEY).name == "Trial"


def test_a_call_without_page_info_is_accepted_under_its_content() -> None:
    world = World()
    accepted = world.call("members", ["a"], page=None)
    (page,) = world.ledger.registered(KEY, accepted.seq)
    assert (page.total, page.name) == (None, page.digest[:12])
