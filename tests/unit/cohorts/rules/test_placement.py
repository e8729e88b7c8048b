"""Which sync a page belongs to, and what a restart takes over."""

from dataclasses import replace

import pytest

from bridge.cohorts.rules.model import Page, RegisteredPage
from bridge.cohorts.rules.placement import (
    JOIN_WINDOW_MS,
    Placement,
    failed_run_until,
    inherited,
    place,
    shows_empty_calls,
    shows_shared_session,
)
from tests.unit.cohorts.rules.syncs import (
    ADD,
    FULL,
    NOW,
    REMOVE,
    cohort,
    diff,
    full,
    page,
    sync,
)


def came(name: str, at: int, digest: str = "d", total: int = 3) -> RegisteredPage:
    return RegisteredPage(FULL, name, digest, total, at)


def test_the_first_page_opens_a_sync_at_its_time_of_arrival() -> None:
    assert place(cohort(), page(), {}, NOW) == Placement(NOW, opens=True)


def test_syncs_are_ordered_strictly_even_when_the_clock_is_not() -> None:
    state = cohort(full(NOW))
    placed = place(state, page(FULL, session="s2"), {}, NOW - 5)
    assert placed == Placement(NOW + 1, opens=True)


def test_a_known_session_finds_its_sync() -> None:
    state = cohort(full(5, pages=3, accepted={1}))
    assert place(state, page(FULL, 2, 3), {}, NOW) == Placement(5, opens=False)


@pytest.mark.parametrize(
    "changed", [page(FULL, 1, 3, digest="other"), page(FULL, 1, 4)]
)
def test_a_session_that_says_something_else_is_a_restart(changed: Page) -> None:
    state = cohort(full(5, pages=3, accepted={1}))
    assert place(state, changed, {5: "d"}, NOW) == Placement(NOW, True, restarts=5)


def test_an_action_with_a_session_of_its_own_joins_the_diff_that_lacks_it() -> None:
    state = cohort(sync(5, {ADD: 1}, {ADD: {1}}))
    second = page(REMOVE, session="s2")
    assert place(state, second, {}, NOW + 1) == Placement(5, opens=False)
    late = NOW + JOIN_WINDOW_MS
    assert place(state, second, {}, late) == Placement(late, opens=True)


def test_a_second_page_under_an_actions_own_session_is_no_shared_session() -> None:
    joined = replace(
        diff(5), sessions={ADD: frozenset({"s1"}), REMOVE: frozenset({"s2"})}
    )
    assert not shows_shared_session(joined, page(REMOVE, 2, 2, session="s2"))
    assert shows_shared_session(joined, page(ADD, 2, 2, session="s2"))


def test_where_sessions_are_shared_a_new_session_is_a_new_sync() -> None:
    state = cohort(sync(5, {ADD: 1}, {ADD: {1}}), shares_sessions=True)
    assert place(state, page(REMOVE, session="s2"), {}, NOW + 1).opens


def test_a_full_sync_is_never_joined_and_never_joins() -> None:
    state = cohort(sync(5, {ADD: 1}, {ADD: {1}}))
    assert place(state, page(FULL, session="s2"), {}, NOW + 1).opens
    assert place(cohort(full(5)), page(ADD, session="s2"), {}, NOW + 1).opens


def test_what_a_changed_page_contradicts_belongs_to_the_failed_run() -> None:
    pages = [came("1", 10), came("2", 20), came("3", 30)]
    assert failed_run_until(pages, page(FULL, 2, 3, digest="other")) == 20
    assert failed_run_until(pages, page(FULL, 2, 4)) == 30


OWN = came("2", 50)


def test_unchanged_pages_count_once_nothing_else_is_wanting() -> None:
    earlier = [came("1", 30), came("2", 20), came("3", 10)]
    begun = replace(full(5, 3, {2}), since=20, restarts=4)
    assert inherited(begun, [OWN], earlier) == [], "3 came before what was contradicted"
    assert inherited(begun, [OWN], [came("1", 30), came("3", 40)]) == [
        came("1", 30),
        came("3", 40),
    ]


def test_pages_of_another_total_never_count_for_the_new_run() -> None:
    begun = replace(full(5, 2, {2}), since=20, restarts=4)
    assert inherited(begun, [OWN], [came("1", 30, total=3)]) == []
    assert inherited(begun, [OWN], [came("1", 30, total=2)]) != []


def test_a_session_goes_on_in_the_sync_that_restarted_it() -> None:
    first = replace(
        diff(5), sessions={ADD: frozenset({"s1"}), REMOVE: frozenset({"s2"})}
    )
    second = replace(sync(6, {ADD: 1}, {ADD: {1}}), restarts=5)
    placed = place(cohort(first, second), page(REMOVE, session="s2"), {5: "d"}, NOW)
    assert placed == Placement(6, opens=False)


def test_a_full_sync_of_nobody_does_not_show_how_diffs_are_sent() -> None:
    empty = replace(page(), empty=True)
    assert shows_empty_calls(empty)
    assert not shows_empty_calls(replace(empty, action=FULL))
