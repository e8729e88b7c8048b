"""Which sync a page belongs to, and what the syncs amount to, rule by rule."""

from dataclasses import replace

import pytest

from bridge.cohorts.rules.commit import (
    GUARDED_MEMBERS,
    Resolution,
    guard_removal,
    release_removal,
    resolve,
)
from bridge.cohorts.rules.completeness import is_complete, repetition_counts
from bridge.cohorts.rules.model import Cohort, Page, RegisteredPage, Sync
from bridge.cohorts.rules.placement import (
    JOIN_WINDOW_MS,
    Placement,
    failed_run_until,
    inherited,
    place,
    shows_empty_calls,
    shows_shared_session,
)
from bridge.mixpanel.cohort_webhook import Action

FULL, ADD, REMOVE = Action.FULL, Action.ADD, Action.REMOVE
NOW = 1_000_000_000


def page(
    action: Action = ADD,
    number: int | None = 1,
    total: int | None = 1,
    session: str = "s1",
    digest: str = "d",
) -> Page:
    return Page(session, action, number, total, digest, empty=False)


def sync(
    seq: int,
    totals: dict[Action, int],
    accepted: dict[Action, set[int]],
    *,
    processed: bool = True,
    repeats: set[int] | None = None,
    session: str = "s1",
) -> Sync:
    pages = {a: frozenset(map(str, numbers)) for a, numbers in accepted.items()}
    return Sync(
        seq=seq,
        full=FULL in accepted,
        last_page_at=NOW,
        sessions={action: frozenset({session}) for action in accepted},
        totals=totals,
        accepted=pages,
        processed=pages if processed else {},
        repeats=frozenset(repeats or ()),
    )


def full(seq: int, pages: int = 1, accepted: set[int] | None = None) -> Sync:
    return sync(seq, {FULL: pages}, {FULL: accepted or set(range(1, pages + 1))})


def diff(seq: int, **options: object) -> Sync:
    made = sync(seq, {ADD: 1, REMOVE: 1}, {ADD: {1}, REMOVE: {1}})
    return replace(made, **options)  # type: ignore[arg-type]


def cohort(*syncs: Sync, newest: int | None = None, **options: object) -> Cohort:
    last = newest if newest is not None else (syncs[-1].seq if syncs else 0)
    return replace(Cohort(newest=last, syncs=syncs), **options)  # type: ignore[arg-type]


# Placing


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


# Restarts under the same session id


def came(name: str, at: int, digest: str = "d", total: int = 3) -> RegisteredPage:
    return RegisteredPage(FULL, name, digest, total, at)


def test_what_a_changed_page_contradicts_belongs_to_the_failed_run() -> None:
    pages = [came("1", 10), came("2", 20), came("3", 30)]
    assert failed_run_until(pages, page(FULL, 2, 3, digest="other")) == 20
    assert failed_run_until(pages, page(FULL, 2, 4)) == 30


def test_unchanged_pages_count_once_nothing_else_is_wanting() -> None:
    earlier = [came("1", 30), came("2", 20), came("3", 10)]
    begun = replace(full(5, 3, {2}), since=20, restarts=4)
    assert inherited(begun, earlier) == [], "3 came before what was contradicted"
    assert inherited(begun, [came("1", 30), came("3", 40)]) == [
        came("1", 30),
        came("3", 40),
    ]


def test_pages_of_another_total_never_count_for_the_new_run() -> None:
    begun = replace(full(5, 2, {2}), since=20, restarts=4)
    assert inherited(begun, [came("1", 30, total=3)]) == []
    assert inherited(begun, [came("1", 30, total=2)]) != []


def test_a_session_goes_on_in_the_sync_that_restarted_it() -> None:
    first = replace(
        diff(5), sessions={ADD: frozenset({"s1"}), REMOVE: frozenset({"s2"})}
    )
    second = replace(sync(6, {ADD: 1}, {ADD: {1}}), restarts=5)
    placed = place(cohort(first, second), page(REMOVE, session="s2"), {5: "d"}, NOW)
    assert placed == Placement(6, opens=False)


def test_a_sync_that_was_begun_anew_is_never_complete_and_dies_with_its_successor() -> (
    None
):
    failed, again = diff(5), replace(diff(6), restarts=5)
    assert not is_complete(failed, cohort(failed, again))
    assert resolve(cohort(failed, replace(again, processed={}))).newly_aborted == set()
    assert resolve(cohort(failed, again)).newly_aborted == {5}


# Completeness


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


def test_a_diff_with_one_action_waits_for_the_next_sync() -> None:
    one = sync(5, {ADD: 1}, {ADD: {1}})
    assert not is_complete(one, cohort(one))
    assert is_complete(one, cohort(one, newest=6))


def test_where_empty_lists_are_sent_a_diff_with_one_action_died_in_between() -> None:
    one = sync(5, {ADD: 1}, {ADD: {1}})
    assert not is_complete(one, cohort(one, newest=6, sends_empty=True))


def test_a_full_sync_of_nobody_does_not_show_how_diffs_are_sent() -> None:
    empty = replace(page(), empty=True)
    assert shows_empty_calls(empty)
    assert not shows_empty_calls(replace(empty, action=FULL))


def test_without_page_info_a_diff_of_one_action_dies_where_empty_lists_are_sent() -> (
    None
):
    one = sync(5, {}, {ADD: {1}})
    assert is_complete(one, cohort(one, diff(6)))
    assert not is_complete(one, cohort(one, diff(6), sends_empty=True))


def test_without_page_info_a_full_sync_counts_when_a_diff_follows() -> None:
    unnumbered = sync(5, {}, {FULL: {1}})
    assert not is_complete(unnumbered, cohort(unnumbered))
    assert not is_complete(unnumbered, cohort(unnumbered, full(6)))
    assert is_complete(unnumbered, cohort(unnumbered, diff(6)))


# Floor and death


def test_the_floor_moves_to_a_full_sync_once_it_is_processed() -> None:
    waiting = replace(full(5), processed={})
    assert resolve(cohort(waiting)).baseline == 0
    resolution = resolve(cohort(full(5)))
    assert (resolution.baseline, resolution.rescan) == (5, True)


def test_an_incomplete_sync_dies_when_a_later_one_is_complete_and_processed() -> None:
    broken = sync(5, {ADD: 2, REMOVE: 1}, {ADD: {1}})
    assert (
        resolve(cohort(broken, replace(diff(6), processed={}))).newly_aborted == set()
    )
    assert resolve(cohort(broken, diff(6))).newly_aborted == {5}


def test_a_quarantined_page_keeps_its_sync_from_counting_but_not_alive() -> None:
    stuck = replace(full(5), processed={})
    resolution = resolve(cohort(stuck, diff(6)))
    assert (resolution.baseline, resolution.newly_aborted) == (0, frozenset())


def test_a_diff_that_the_next_one_repeats_was_not_counted_by_mixpanel() -> None:
    assert resolve(cohort(diff(5), diff(6, repeats={5}))).newly_aborted == {5}
    assert resolve(cohort(diff(5), diff(6))).newly_aborted == set()


def test_a_later_diff_can_tell_that_if_nothing_between_took_the_change_back() -> None:
    assert repetition_counts(cohort(diff(5), diff(6), diff(7)), 7, 5)
    waits = replace(diff(6), processed={})
    assert not repetition_counts(cohort(diff(5), waits, diff(7)), 7, 5), (
        "6 may say the opposite"
    )
    broken = sync(6, {ADD: 2, REMOVE: 1}, {ADD: {1}}, processed=False)
    assert repetition_counts(cohort(diff(5), broken, diff(7)), 7, 5), "6 was given up"
    assert resolve(cohort(diff(5), diff(6), diff(7, repeats={5}))).newly_aborted == {5}


def test_a_full_sync_repeats_people_without_killing_anything() -> None:
    assert not repetition_counts(cohort(full(5), diff(6)), 6, 5)
    assert not repetition_counts(cohort(diff(5), full(6)), 6, 5)
    assert not repetition_counts(cohort(diff(5), full(6), diff(7)), 7, 5)


def test_a_sync_that_is_decided_is_repeated_in_vain() -> None:
    assert not repetition_counts(cohort(diff(6)), 6, 5)


def test_what_is_decided_leaves_the_list() -> None:
    resolution = resolve(cohort(*(diff(seq) for seq in range(5, 10))))
    assert resolution.finished == {5, 6}
    assert not resolution.rescan
    assert resolve(cohort(full(4), diff(5))).finished == {4}, (
        "nothing repeats a full one"
    )


def test_a_sync_behind_one_that_waits_is_kept_as_its_witness() -> None:
    stuck = replace(diff(5), processed={})
    assert resolve(cohort(stuck, diff(6), diff(7), diff(8))).finished == set()


def test_an_empty_list_shows_later_that_a_diff_of_one_action_had_died() -> None:
    half = sync(5, {ADD: 1}, {ADD: {1}})
    unsure = resolve(cohort(half, diff(6), diff(7)))
    assert (unsure.newly_aborted, unsure.finished) == (frozenset(), frozenset())
    assert resolve(cohort(half, diff(6), diff(7), sends_empty=True)).newly_aborted == {
        5
    }


# The guard


def test_the_first_full_sync_of_a_cohort_needs_no_weighing() -> None:
    resolution = resolve(cohort(full(5), first=5), guarded=True)
    assert (resolution.baseline, resolution.measure_removal) == (5, False)


def test_a_guarded_sweep_is_weighed_once_before_the_floor_moves() -> None:
    resolution = resolve(cohort(full(5), first=1), guarded=True)
    assert (resolution.baseline, resolution.measure_removal, resolution.measuring) == (
        0,
        True,
        5,
    )
    again = resolve(cohort(full(5), first=1, measuring=5), guarded=True)
    assert (again.baseline, again.measure_removal) == (0, False)
    held = resolve(cohort(full(5), first=1, held_removal=5), guarded=True)
    assert (held.baseline, held.measure_removal) == (0, False)


@pytest.mark.parametrize(
    ("stay", "leave", "is_held"),
    [(600, 600, False), (599, 601, True), (0, GUARDED_MEMBERS, False), (0, 1001, True)],
)
def test_a_sweep_of_more_than_its_share_of_a_large_cohort_is_held(
    stay: int, leave: int, is_held: bool
) -> None:
    state = cohort(full(5), baseline=1, measuring=5)
    resolution = guard_removal(state, stay, leave, 0.5)
    assert resolution == (
        Resolution(1, held_removal=5)
        if is_held
        else Resolution(5, held_removal=0, rescan=True)
    )


def test_a_second_full_sync_that_says_the_same_releases_it() -> None:
    state = cohort(full(5), full(6), baseline=1, held_removal=5, measuring=6)
    assert guard_removal(state, 0, 5_000, 0.5) == Resolution(6, rescan=True)


def test_an_operator_releases_it() -> None:
    assert release_removal(cohort(full(5), baseline=1, held_removal=5)) == Resolution(
        5, rescan=True
    )
