"""Faults by which a cohort once stopped or ended wrong, each on both ledgers."""

from typing import Any

import pytest

from bridge.cohorts.adapters.member_items import shard_of
from bridge.cohorts.apply.context import Policy
from bridge.cohorts.cohort_messages import ReleaseMessage
from bridge.cohorts.maintenance import PATIENCE_MS, run_maintenance
from bridge.cohorts.rules.identifiers import parse_sources
from bridge.errors import RetryableError
from tests.model.world import KEY, World, crowd


class Crash(BaseException):
    """The process ends here."""


def crash_on(world: World, person: str, **page: tuple[int, int]) -> None:
    """Apply a page of ten, of whom `person` crashes the process each time."""

    def on_call(changes: list[tuple[str, bool]]) -> None:
        if person in dict(changes):
            raise Crash

    world.braze.on_call = on_call
    world.call("members", crowd(0, 10), page=page.get("page", (1, 1)))
    crashes = 0
    while world.queue.waiting:
        try:
            world.handle(world.queue.waiting[0], received=crashes + 1)
            world.queue.waiting.pop(0)
        except Crash:
            crashes += 1
            assert crashes < 50


def test_a_list_of_the_right_length_with_the_wrong_people_is_held(
    world: World,
) -> None:
    world.full(*crowd(0, 1_100), session="s1")
    world.wait()
    world.call("members", crowd(2_000, 3_100), session="s2")
    assert world.drain().held_removals == 1
    assert set(crowd(0, 1_100)) <= world.braze.members


def test_an_operator_releases_a_held_removal(world: World) -> None:
    world.full(*crowd(0, 1_100), session="s1")
    world.full(session="s2")
    seq = world.ledger.cohort(KEY).held_removal
    world.queue.send(ReleaseMessage(key=KEY, seq=seq - 1))
    world.drain()
    assert world.braze.members, "another sync than the one that is held"
    world.queue.send(ReleaseMessage(key=KEY, seq=seq))
    world.drain()
    assert world.braze.members == set()


def test_a_hundred_failed_syncs_are_rolled_back(world: World) -> None:
    """DynamoDB takes a hundred items in one transaction."""
    world.full("a", session="s0")
    for number in range(100):
        world.wait()
        world.call("add_members", ["x"], page=(1, 2), session=f"f{number}")
        world.drain()
    world.diff(["b"], [], session="good")
    assert world.braze.members == {"a", "b"}


def test_a_scan_continues_where_dynamodb_cuts_an_answer_at_its_size(
    world: World,
) -> None:
    world.braze.step = 1_000
    people = (f"{'i' * 900}{number:05}" for number in range(16 * 1_150))
    one_shard = [each for each in people if shard_of(f"e:{each}") == 3][:990]
    world.policy = Policy(max_removal_fraction=1)
    world.full(*one_shard, session="s1")
    world.full(one_shard[0], session="s2")
    assert world.braze.members == {one_shard[0]}


def test_no_later_rescan_pushes_a_quarantined_member(world: World) -> None:
    crash_on(world, "u0003")
    for _ in range(30):
        world.now += 86_400_000
        run_maintenance(world.ledger, world.queue, world.now, 30)
        world.drain()
    assert world.braze.members == set(crowd(0, 10)) - {"u0003"}


def test_a_replay_pushes_a_quarantined_member_below_a_newer_baseline(
    world: World,
) -> None:
    crash_on(world, "u0003")
    world.braze.on_call = lambda _: None
    world.full(*crowd(0, 10), session="s9")
    assert "u0003" not in world.braze.members
    ((message, _),) = world.quarantined
    world.handle(message)
    assert "u0003" in world.braze.members


def test_maintenance_does_not_resend_a_replay_that_crashes(world: World) -> None:
    world.call("members", ["zz"], page=(2, 3))
    world.queue.waiting.clear()
    crash_on(world, "u0003", page=(1, 3))
    ((message, _),) = world.quarantined
    for received in range(4, 6):
        with pytest.raises(Crash):
            world.handle(message, received=received)
    world.now += 2 * PATIENCE_MS
    assert run_maintenance(world.ledger, world.queue, world.now, 0).resent == 0


def test_a_scan_begins_no_step_without_time(world: World) -> None:
    world.full(*crowd(0, 20), session="s1")
    world.call("members", ["u0000"], session="s2")
    world.step()
    world.seconds_left = [1.0] * 9
    with pytest.raises(RetryableError, match="next run"):
        world.step()
    world.seconds_left = ()
    world.drain()
    assert world.braze.members == {"u0000"}


def test_a_scan_names_the_cohort_before_it_pushes(world: World) -> None:
    world.full("a", session="s1")
    world.braze.workspace = "elsewhere"
    world.braze.names.clear()
    named: list[bool] = []
    world.braze.on_call = lambda _: named.append(bool(world.braze.names))
    world.now += 86_400_000
    run_maintenance(world.ledger, world.queue, world.now, 1)
    world.drain()
    assert named
    assert all(named)


def test_an_id_that_too_many_profiles_share_is_skipped_and_blocks_nobody(
    world: World,
) -> None:
    """An item of DynamoDB takes 400 KB."""
    world.sources = parse_sources("external_id=ref")
    profiles = [
        {"mixpanel_distinct_id": f"{number:04}{'d' * 1000}", "ref": "same"}
        for number in range(500)
    ]
    world.call("members", [], members=[*profiles, {"ref": "other"}])
    assert world.drain().skipped["shared_identifier"] > 200
    assert world.braze.members == {"same", "other"}


def test_the_first_sync_gives_the_first_name(world: World) -> None:
    """It stands in the attribute: another one would not match those who are in."""
    world.call("add_members", ["a"], name="")
    world.call("remove_members", [], name="")
    world.drain()
    world.wait()
    world.call("add_members", [], session="s2", name="Trial")
    world.call("remove_members", ["a"], session="s2", name="Trial")
    world.drain()
    assert world.ledger.cohort(KEY).first_name == "mixpanel_7"


def test_pages_without_a_number_between_others_are_accepted(world: World) -> None:
    """All under one session: the last call contradicts the first."""
    world.full("r", session="s0")
    world.wait()
    world.call("add_members", ["x"])
    world.call("remove_members", ["r"], page=None)
    world.call("add_members", ["z"])
    world.drain()
    world.full("z", session="s2")
    assert world.braze.members == {"z"}


def test_whom_braze_rejected_is_counted_once_though_the_page_takes_two_runs(
    world: World,
) -> None:
    people = crowd(0, world.braze.step + 5)
    world.braze.rejects = frozenset({people[0], people[-1]})
    world.call("members", people)
    (sync,) = world.ledger.cohort(KEY).syncs
    world.seconds_left = [60.0, 5.0]
    with pytest.raises(RetryableError):
        world.step()
    world.seconds_left = ()
    world.drain()
    found = world.ledger.sync(KEY, sync.seq)
    assert found
    assert found.rejected == {"rejected": 2}


@pytest.mark.parametrize("counts", [True, False])
def test_a_rejected_member_is_counted_once_the_page_is_applied(
    world: World, monkeypatch: pytest.MonkeyPatch, counts: bool
) -> None:
    """If the count fails as well, the error that deferred the page is raised."""
    world.braze.rejects = frozenset({"a"})
    world.call("members", ["a"])
    (sync,) = world.ledger.cohort(KEY).syncs
    ledger: Any = world.ledger

    def fail(reason: str) -> None:
        raise RetryableError(reason, "")

    def break_off() -> None:
        monkeypatch.setattr(ledger, "save", lambda *_: fail("unsaved"))
        if not counts:
            monkeypatch.setattr(ledger, "count_rejected", lambda *_: fail("uncounted"))

    world.braze.after = break_off
    with pytest.raises(RetryableError) as caught:
        world.step()
    assert caught.value.reason == "unsaved"
    monkeypatch.undo()
    world.braze.after = lambda: None
    world.drain()
    found = world.ledger.sync(KEY, sync.seq)
    assert found
    assert found.rejected == {"rejected": 1}
