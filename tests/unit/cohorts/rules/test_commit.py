"""Which syncs are in force: the baseline, aborts, and the removal guard."""

from dataclasses import replace

import pytest

from bridge.cohorts.rules.commit import (
    Resolution,
    guard_removal,
    release,
    resolve,
)
from bridge.cohorts.rules.completeness import is_complete, repetition_counts
from tests.unit.cohorts.rules.syncs import (
    ADD,
    REMOVE,
    cohort,
    diff,
    full,
    sync,
)


def test_a_restarted_sync_is_never_complete_and_aborts_with_its_successor() -> None:
    failed, again = diff(5), replace(diff(6), restarts=5)
    assert not is_complete(failed, cohort(failed, again))
    assert resolve(cohort(failed, replace(again, processed=0))).newly_aborted == set()
    assert resolve(cohort(failed, again)).newly_aborted == {5}


def test_the_baseline_moves_to_a_full_sync_once_it_is_processed() -> None:
    waiting = replace(full(5), processed=0)
    assert resolve(cohort(waiting)).baseline == 0
    resolution = resolve(cohort(full(5)))
    assert (resolution.baseline, resolution.rescan) == (5, True)


def test_an_incomplete_sync_aborts_when_a_later_one_is_complete_and_processed() -> None:
    broken = sync(5, {ADD: 2, REMOVE: 1}, {ADD: {1}})
    assert resolve(cohort(broken, replace(diff(6), processed=0))).newly_aborted == set()
    assert resolve(cohort(broken, diff(6))).newly_aborted == {5}


def test_a_sync_with_a_quarantined_page_is_no_baseline_and_does_not_abort() -> None:
    stuck = replace(full(5), processed=0)
    resolution = resolve(cohort(stuck, diff(6)))
    assert (resolution.baseline, resolution.newly_aborted) == (0, frozenset())


def test_a_diff_that_the_next_one_repeats_was_not_counted_by_mixpanel() -> None:
    assert resolve(cohort(diff(5), diff(6, repeats={5}))).newly_aborted == {5}
    assert resolve(cohort(diff(5), diff(6))).newly_aborted == set()


def test_a_later_diff_can_tell_that_if_nothing_between_took_the_change_back() -> None:
    assert repetition_counts(cohort(diff(5), diff(6), diff(7)), 7, 5)
    waits = replace(diff(6), processed=0)
    assert not repetition_counts(cohort(diff(5), waits, diff(7)), 7, 5), (
        "6 may say the opposite"
    )
    broken = sync(6, {ADD: 2, REMOVE: 1}, {ADD: {1}}, processed=False)
    assert repetition_counts(cohort(diff(5), broken, diff(7)), 7, 5), "6 was given up"
    assert resolve(cohort(diff(5), diff(6), diff(7, repeats={5}))).newly_aborted == {5}


def test_finished_syncs_leave_the_list_of_open_ones() -> None:
    resolution = resolve(cohort(*(diff(seq) for seq in range(5, 10))))
    assert resolution.finished == {5, 6}
    assert not resolution.rescan
    assert resolve(cohort(full(4), diff(5))).finished == {4}, (
        "nothing repeats a full one"
    )


def test_a_sync_behind_one_that_waits_is_kept_as_its_witness() -> None:
    stuck = replace(diff(5), processed=0)
    assert resolve(cohort(stuck, diff(6), diff(7), diff(8))).finished == set()


def test_an_empty_list_shows_later_that_a_diff_of_one_action_had_failed() -> None:
    half = sync(5, {ADD: 1}, {ADD: {1}})
    unsure = resolve(cohort(half, diff(6), diff(7)))
    assert (unsure.newly_aborted, unsure.finished) == (frozenset(), frozenset())
    assert resolve(cohort(half, diff(6), diff(7), sends_empty=True)).newly_aborted == {
        5
    }


def test_the_first_full_sync_of_a_cohort_is_not_measured() -> None:
    resolution = resolve(cohort(full(5), first=5), guarded=True)
    assert (resolution.baseline, resolution.measure_removal) == (5, False)


def test_a_guarded_removal_is_measured_once_before_the_baseline_moves() -> None:
    resolution = resolve(cohort(full(5), first=1), guarded=True)
    assert (resolution.baseline, resolution.measure_removal, resolution.measuring) == (
        0,
        True,
        5,
    )
    measuring = resolve(cohort(full(5), first=1, measuring=5), guarded=True)
    assert (measuring.baseline, measuring.measure_removal) == (0, False)
    held = resolve(cohort(full(5), first=1, held_removal=5), guarded=True)
    assert (held.baseline, held.measure_removal) == (0, False)


@pytest.mark.parametrize(
    ("stay", "leave", "is_held"),
    [(600, 600, False), (599, 601, True), (0, 100, False), (0, 101, True)],
)
def test_a_removal_of_more_than_its_share_of_a_large_cohort_is_held(
    stay: int, leave: int, is_held: bool
) -> None:
    state = cohort(full(5), baseline=1, measuring=5)
    resolution = guard_removal(state, stay, leave, 0.5, 100)
    assert resolution == (
        Resolution(1, held_removal=5)
        if is_held
        else Resolution(5, held_removal=0, rescan=True)
    )


def test_a_second_full_sync_that_says_the_same_releases_it() -> None:
    state = cohort(full(5), full(6), baseline=1, held_removal=5, measuring=6)
    assert guard_removal(state, 0, 5_000, 0.5, 100) == Resolution(6, rescan=True)


def test_an_operator_releases_it() -> None:
    state = cohort(full(5), baseline=1, held_removal=5)
    assert release(state, 5) == Resolution(5, rescan=True)
