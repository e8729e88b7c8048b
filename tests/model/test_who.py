"""Who, not only how many: the report of a sync, and the counts of a cohort."""

import csv
import io

import pytest

from bridge.cohorts.adapters.s3_reports import COLUMNS, write_csv
from bridge.cohorts.cohort_messages import RescanMessage
from bridge.cohorts.maintenance import DAY_MS
from bridge.cohorts.rules.counts import IN, rejected_members, skipped_profiles
from bridge.cohorts.rules.outcomes import Outcome, ReportRow
from bridge.errors import RetryableError
from sandbox.mixpanel import NAMED_DIALECTS
from tests.model.simulation import CALM, Simulation
from tests.model.world import KEY, World, crowd

LONG, LONGER = "x" * 990, "x" * 991
"""Profiles whose ids are longer than Braze takes."""


def rows(world: World, sync: int | None = None) -> list[ReportRow]:
    return world.reports.rows(sync or world.ledger.cohort(KEY).newest)


def outcomes(world: World, sync: int | None = None) -> dict[str, str]:
    return {row.distinct_id: str(row.outcome) for row in rows(world, sync)}


# The report


def test_a_report_says_what_became_of_each_profile(world: World) -> None:
    world.full("a", "b", session="s1")
    assert outcomes(world) == {"a": "added", "b": "added"}
    world.braze.rejects = frozenset({"bad"})
    world.diff(["a", "c", "bad", LONG], ["b", "stranger"], session="s2")
    assert rows(world) == [
        ReportRow("", LONG, Outcome.SKIPPED, "identifier_too_long"),
        ReportRow("e:a", "a", Outcome.NO_OP),
        ReportRow("e:b", "b", Outcome.REMOVED),
        ReportRow("e:bad", "bad", Outcome.REJECTED, "rejected"),
        ReportRow("e:c", "c", Outcome.ADDED),
        ReportRow("e:stranger", "stranger", Outcome.NO_OP),
    ]


def test_whom_a_full_list_omits_stands_in_its_report(world: World) -> None:
    world.full("a", "b", "c", session="s1")
    world.full("a", session="s2")
    assert outcomes(world) == {"a": "no-op", "b": "removed", "c": "removed"}


def test_a_page_that_is_broken_off_is_reported_whole(world: World) -> None:
    """The second run finds the first half in Braze: that was this sync as well."""
    world.braze.step = 2
    world.call("members", crowd(0, 6))
    world.seconds_left = [60.0, 5.0]
    with pytest.raises(RetryableError):
        world.step()
    assert rows(world) == []
    world.seconds_left = ()
    world.drain()
    assert outcomes(world) == dict.fromkeys(crowd(0, 6), "added")


def test_a_member_who_is_reasserted_is_no_op(world: World) -> None:
    world.full("a", session="s1")
    world.now += 2 * DAY_MS
    world.full("a", session="s2")
    assert len(world.braze.calls) == 2, "Braze was asked to hold what it holds"
    assert outcomes(world) == {"a": "no-op"}


def test_a_page_with_crash_poison_is_reported_member_by_member(world: World) -> None:
    world.braze.step = 2

    def crash(call: list[tuple[str, bool]]) -> None:
        if ("u0002", True) in call:
            raise KeyboardInterrupt

    world.braze.on_call = crash
    world.call("members", crowd(0, 4))
    for _ in range(20):
        try:
            world.handle(world.queue.waiting[0], received=10)
        except KeyboardInterrupt:
            continue
        break
    world.queue.waiting.pop(0)
    world.drain()
    assert outcomes(world) == {
        "u0000": "added",
        "u0001": "added",
        "u0002": "rejected",
        "u0003": "added",
    }


def test_a_report_is_csv_in_which_any_value_survives() -> None:
    odd = 'a,"b"\nc'
    content = write_csv(
        [
            ReportRow(f"e:{odd}", odd, Outcome.ADDED),
            ReportRow("a:5:label:name", "d", Outcome.REJECTED, "braze_400"),
            ReportRow("", "half \ud83d", Outcome.SKIPPED, "invalid_text"),
        ]
    )
    read = list(csv.reader(io.StringIO(content.decode())))
    assert read == [
        list(COLUMNS),
        [odd, "external_id", odd, "added", ""],
        ["name", "alias", "d", "rejected", "braze_400"],
        ["", "", "half ?", "skipped", "invalid_text"],
    ]


# The counts


def counts(world: World) -> tuple[int, dict[str, int], dict[str, int]]:
    cohort = world.ledger.cohort(KEY)
    members = cohort.counts.get(IN, 0)
    return members, rejected_members(cohort), dict(skipped_profiles(cohort))


def test_counts_stay_valid_after_an_empty_diff(world: World) -> None:
    world.braze.rejects, world.braze.reason = frozenset({"bad"}), "braze_blocked"
    world.full("a", "b", "bad", LONG, session="s1")
    expected = (2, {"braze_blocked": 1}, {"identifier_too_long": 1})
    assert counts(world) == expected
    for number in range(8):
        world.diff([], [], session=f"d{number}")
        assert counts(world) == expected


def test_counts_follow_diffs_and_full_lists(world: World) -> None:
    world.full("a", "b", LONG, session="s1")
    world.diff(["c", LONGER], ["a"], session="s2")
    assert counts(world) == (2, {}, {"identifier_too_long": 2})
    world.diff([], [LONG, "b"], session="s3")
    assert counts(world) == (1, {}, {"identifier_too_long": 1})
    world.full("x", session="s4")
    assert counts(world) == (1, {}, {})


def test_a_rejected_member_who_leaves_is_counted_no_more(world: World) -> None:
    world.braze.rejects, world.braze.reason = frozenset({"bad", "b2"}), "braze_blocked"
    world.full("a", "bad", "b2", session="s1")
    world.diff([], ["bad"], session="s2")
    assert counts(world) == (1, {"braze_blocked": 1}, {})
    world.full("a", session="s3")
    assert counts(world) == (1, {}, {})


def test_a_page_that_is_broken_off_counts_everybody_once(world: World) -> None:
    world.braze.step = 2
    world.call("add_members", crowd(0, 6))
    world.seconds_left = [60.0, 5.0]
    with pytest.raises(RetryableError):
        world.step()
    world.seconds_left = ()
    world.drain()
    assert counts(world) == (6, {}, {})


def test_a_call_without_an_answer_counts_nobody_twice(world: World) -> None:
    world.full(*crowd(0, 3), session="s1")

    def fail() -> None:
        raise RetryableError("test")

    world.braze.before = fail
    world.call("remove_members", ["u0000"], session="s2")
    with pytest.raises(RetryableError):
        world.step()
    world.braze.before = lambda: None
    world.drain()
    assert counts(world) == (2, {}, {})


def test_what_a_held_list_skips_does_not_count_yet(world: World) -> None:
    world.full(*crowd(0, 200), LONG, session="s1")
    world.full("u0000", LONG, LONGER, session="s2")
    assert world.ledger.cohort(KEY).held_removal
    assert counts(world) == (200, {}, {"identifier_too_long": 1})


def test_counts_are_written_once_however_many_writes_a_resolution_takes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.cohorts.apply.commit.MAX_ABORTS", 1)
    world.full("a", session="s1")
    for number in range(3):
        world.wait()
        world.call("add_members", [f"x{number}"], session=f"x{number}", page=(1, 2))
    world.drain()
    world.wait()
    world.call("remove_members", [], session="s2")
    world.call("add_members", ["b"], session="s2")
    world.step()
    world.step()
    assert counts(world) == (5, {}, {}), "until the rescan takes three of them out"
    world.drain()
    assert counts(world) == (2, {}, {})


def wrong_counts(world: World) -> None:
    world.ledger.count(KEY, {IN: 7, "rejected_braze_400": 1})


@pytest.mark.parametrize("step", [2, 300])
def test_a_rescan_counts_anew(world: World, step: int) -> None:
    world.full(*crowd(0, 5), session="s1")
    wrong_counts(world)
    world.braze.step = step
    world.braze.members.clear()
    world.queue.send(RescanMessage(key=KEY, day=1, days=1))
    world.seconds_left = [60.0, 5.0]
    while world.queue.waiting:
        world.step()
        world.seconds_left = ()
    assert counts(world) == (5, {}, {})


def test_what_a_page_changes_during_a_rescan_is_not_overwritten(world: World) -> None:
    world.full(*crowd(0, 5), session="s1")
    world.queue.send(RescanMessage(key=KEY, day=1, days=1))
    world.braze.step = 2
    world.seconds_left = [60.0, 5.0, 5.0]
    world.step()
    rest = world.queue.waiting.pop()
    assert isinstance(rest, RescanMessage)
    world.seconds_left = ()
    world.diff([], ["u0000"], session="s2")
    world.queue.send(rest)
    world.drain()
    assert counts(world) == (4, {}, {})


@pytest.mark.parametrize("name", ["documented", "own sessions", "common total"])
@pytest.mark.parametrize("seed", range(3))
def test_without_crashes_the_counts_are_those_of_braze(name: str, seed: int) -> None:
    simulation = Simulation(seed, NAMED_DIALECTS[name], CALM)
    simulation.run()
    world = simulation.world
    assert counts(world)[0] == len(world.braze.members)
