"""When all pages of a sync have arrived, and which repetitions count."""

from bridge.cohorts.rules.completeness import is_complete, repetition_counts
from tests.unit.cohorts.rules.syncs import (
    ADD,
    FULL,
    REMOVE,
    cohort,
    diff,
    full,
    sync,
)


def test_a_full_sync_is_complete_with_its_last_page() -> None:
    assert not is_complete(full(5, 3, {1, 3}), cohort(full(5, 3, {1, 3})))
    assert is_complete(full(5, 3), cohort(full(5, 3)))


def test_a_diff_is_complete_when_both_actions_have_all_their_pages() -> None:
    whole = sync(5, {ADD: 2, REMOVE: 1}, {ADD: {1, 2}, REMOVE: {1}})
    part = sync(5, {ADD: 2, REMOVE: 1}, {ADD: {1}, REMOVE: {1}})
    assert is_complete(whole, cohort(whole))
    assert not is_complete(part, cohort(part))


def test_a_diff_is_complete_when_both_actions_fill_one_common_count() -> None:
    whole = sync(5, {ADD: 3, REMOVE: 3}, {ADD: {1, 2}, REMOVE: {3}})
    overlapping = sync(5, {ADD: 3, REMOVE: 3}, {ADD: {1, 2}, REMOVE: {2}})
    assert is_complete(whole, cohort(whole))
    assert not is_complete(overlapping, cohort(overlapping))


def test_page_numbers_in_common_are_seen_whatever_they_sum_up_to() -> None:
    """1 + 4 + 1 + 4 is 1 + 2 + 3 + 4, and so are the squares of some longer lists."""
    twice = sync(5, {ADD: 4, REMOVE: 4}, {ADD: {1, 4}, REMOVE: {1, 4}})
    squares = sync(5, {ADD: 7, REMOVE: 7}, {ADD: {2, 3, 4, 7}, REMOVE: {2, 3, 7}})
    assert not is_complete(twice, cohort(twice))
    assert not is_complete(squares, cohort(squares))


def test_a_common_count_may_begin_at_0() -> None:
    whole = sync(5, {ADD: 3, REMOVE: 3}, {ADD: {0, 2}, REMOVE: {1}})
    assert is_complete(whole, cohort(whole))


def test_a_diff_with_one_action_waits_for_the_next_sync() -> None:
    one = sync(5, {ADD: 1}, {ADD: {1}})
    assert not is_complete(one, cohort(one))
    assert is_complete(one, cohort(one, newest=6))


def test_where_empty_lists_are_sent_a_diff_with_one_action_is_incomplete() -> None:
    one = sync(5, {ADD: 1}, {ADD: {1}})
    assert not is_complete(one, cohort(one, newest=6, sends_empty=True))


def test_so_is_one_without_page_info() -> None:
    one = sync(5, {}, {ADD: {1}})
    assert is_complete(one, cohort(one, diff(6)))
    assert not is_complete(one, cohort(one, diff(6), sends_empty=True))


def test_without_page_info_a_full_sync_counts_when_a_diff_follows() -> None:
    unnumbered = sync(5, {}, {FULL: {1}})
    assert not is_complete(unnumbered, cohort(unnumbered))
    assert not is_complete(unnumbered, cohort(unnumbered, full(6)))
    assert is_complete(unnumbered, cohort(unnumbered, diff(6)))


def test_a_full_sync_repeats_people_and_proves_nothing() -> None:
    assert not repetition_counts(cohort(full(5), diff(6)), 6, 5)
    assert not repetition_counts(cohort(diff(5), full(6)), 6, 5)
    assert not repetition_counts(cohort(diff(5), full(6), diff(7)), 7, 5)


def test_the_repetition_of_a_sync_that_is_no_longer_open_proves_nothing() -> None:
    assert not repetition_counts(cohort(diff(6)), 6, 5)
