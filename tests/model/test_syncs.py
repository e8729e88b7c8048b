"""The cohort flow on its ports: every sync ends with Braze equal to Mixpanel.

Each test runs twice, with the ledger in memory and with the ledger on DynamoDB, because
the two have to behave alike.
"""

import pytest

from bridge.cohorts.apply.context import Policy
from bridge.cohorts.cohort_messages import MeasureRemovalMessage
from bridge.cohorts.maintenance import PATIENCE_MS, run_maintenance
from bridge.cohorts.messages import PageMessage
from bridge.cohorts.rules.identifiers import parse_sources
from bridge.errors import PermanentError, RetryableError
from tests.model.world import KEY, Braze, World, crowd

STEP = Braze.step


def test_r3_a_full_sync_and_diffs_keep_braze_equal(world: World) -> None:
    world.full("a", "b", "c", session="s1")
    assert world.braze.members == {"a", "b", "c"}
    world.diff(["d"], ["a"], session="s2")
    assert world.braze.members == {"b", "c", "d"}
    world.full("b", "e", session="s3")
    assert world.braze.members == {"b", "e"}


def test_the_pages_of_a_full_sync_count_together(world: World) -> None:
    world.full("old", session="s1")
    world.call("members", ["a"], page=(1, 2), session="s2")
    world.drain()
    assert world.braze.members == {"old", "a"}, "additions show at once, removals wait"
    world.call("members", ["b"], page=(2, 2), session="s2")
    world.drain()
    assert world.braze.members == {"a", "b"}


def test_a_first_sync_may_come_as_add_members(world: World) -> None:
    world.diff(["a", "b"], [], session="s1")
    assert world.braze.members == {"a", "b"}


def test_r8_without_faults_nothing_is_written_in_vain(world: World) -> None:
    world.full("a", "b", "c", session="s1")
    world.diff(["d"], ["a"], session="s2")
    world.diff([], [], session="s3")
    world.full("b", "c", "d", session="s4")
    assert world.braze.noops == 0
    assert sum(map(len, world.braze.calls)) == 5


def test_an_aborted_sync_is_rolled_back_by_the_next_complete_one(world: World) -> None:
    world.full("a", session="s1")
    world.call("add_members", ["u"], page=(1, 2), session="s2")
    world.drain()
    assert world.braze.members == {"a", "u"}
    world.diff([], [], session="s3")
    assert world.braze.members == {"a"}


def test_a_removal_by_an_aborted_sync_is_rolled_back_too(world: World) -> None:
    world.full("a", "u", session="s1")
    world.call("remove_members", ["u"], page=(1, 2), session="s2")
    world.drain()
    assert world.braze.members == {"a"}
    world.diff([], [], session="s3")
    assert world.braze.members == {"a", "u"}


def test_a_sync_whose_last_answer_was_lost_is_rolled_back_when_repeated(
    world: World,
) -> None:
    """Mixpanel did not count it: it repeats `u`, and no longer mentions `v`."""
    world.full("a", session="s1")
    world.diff(["u", "v"], [], session="s2")
    world.diff(["u"], [], session="s3")
    assert world.braze.members == {"a", "u"}


def test_a_late_page_counts_only_where_no_newer_sync_says_otherwise(
    world: World,
) -> None:
    world.full("a", session="s1")
    world.call("add_members", ["u", "v"], session="s2")
    world.call("remove_members", [], session="s2")
    (late, other) = world.queue.waiting
    world.queue.waiting = [other]
    world.drain()
    world.diff([], ["u"], session="s3")
    world.queue.waiting = [late]
    world.drain()
    assert world.braze.members == {"a", "v"}


def test_nobody_is_removed_while_a_page_of_the_full_sync_waits(world: World) -> None:
    world.full("a", "b", session="s1")
    world.call("members", ["a"], page=(1, 2), session="s2")
    world.call("members", ["b"], page=(2, 2), session="s2")
    late = world.queue.waiting.pop()
    world.drain()
    assert world.braze.members == {"a", "b"}
    world.queue.waiting = [late]
    world.drain()
    assert world.braze.members == {"a", "b"}
    assert world.braze.noops == 0


def test_a_restart_under_the_same_session_replaces_the_failed_sync(
    world: World,
) -> None:
    world.call("members", ["a", "x"], page=(1, 2), session="s1")
    world.drain()
    world.call("members", ["a", "b"], page=(1, 2), session="s1")
    world.call("members", ["c"], page=(2, 2), session="s1")
    world.drain()
    assert world.braze.members == {"a", "b", "c"}


def test_after_such_a_restart_unchanged_pages_count_for_the_new_sync(
    world: World,
) -> None:
    world.full("old", session="s0")
    world.wait()
    world.call("members", ["a"], page=(1, 3), session="s1")
    world.call("members", ["x"], page=(2, 3), session="s1")
    world.drain()
    world.call("members", ["a"], page=(1, 3), session="s1")
    world.call("members", ["b"], page=(2, 3), session="s1")
    world.drain()
    assert "old" in world.braze.members, "the last page is still to come"
    world.call("members", ["c"], page=(3, 3), session="s1")
    world.drain()
    assert world.braze.members == {"a", "b", "c"}


def test_a_session_joins_the_diff_whose_page_was_just_repeated(
    world: World,
) -> None:
    """The other action has a session of its own, half an hour after the failed run."""
    world.full("a", session="s0")
    world.call("add_members", ["u"], session="s1")
    world.drain()
    world.wait()
    world.call("add_members", ["u"], session="s1")
    world.call("remove_members", ["a"], session="s2")
    world.drain()
    (diff,) = world.ledger.cohort(KEY).syncs
    assert len(diff.accepted) == 2, "one sync, and not another one"
    assert world.braze.members == {"u"}


def test_an_action_that_did_not_change_counts_for_the_new_sync_too(
    world: World,
) -> None:
    world.full("a", "b", session="s0")
    world.diff([], [], session="s1")
    world.wait()
    world.call("add_members", ["u"], session="s2")
    world.call("remove_members", ["a"], page=(1, 2), session="s2")
    world.drain()
    world.call("add_members", ["u"], session="s2")
    world.call("remove_members", ["b"], session="s2")
    world.drain()
    world.diff([], [], session="s3")
    assert world.braze.members == {"a", "u"}


def fail() -> None:
    raise RetryableError("test")


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_call_that_fails_before_or_after_it_took_effect_is_repeated(
    world: World, when: str
) -> None:
    setattr(world.braze, when, fail)
    world.call("members", ["a", "b"])
    with pytest.raises(RetryableError):
        world.step()
    (begun,) = world.ledger.open_pushes(KEY)
    assert [*begun.keys] == ["e:a", "e:b"]
    setattr(world.braze, when, lambda: None)
    world.drain()
    assert world.braze.members == {"a", "b"}


def test_a_removal_that_braze_never_got_is_repeated(world: World) -> None:
    world.full("a", "b", session="s1")
    world.braze.before = fail
    world.call("add_members", [], session="s2")
    world.call("remove_members", ["a"], session="s2")
    world.step()
    with pytest.raises(RetryableError):
        world.step()
    world.braze.before = lambda: None
    world.drain()
    assert world.braze.members == {"b"}


def test_a_removal_whose_answer_was_lost_is_undone_when_its_sync_aborts(
    world: World,
) -> None:
    """The push is recorded before the call: the ledger claims only what it can know."""
    world.full("a", "u", session="s1")
    world.call("remove_members", ["u"], page=(1, 2), session="s2")
    world.braze.after = fail
    with pytest.raises(RetryableError):
        world.step()
    world.queue.waiting.clear()  # to the dead-letter queue
    world.braze.after = lambda: None
    assert world.braze.members == {"a"}
    world.full("a", "u", session="s3")
    assert world.braze.members == {"a", "u"}


def test_the_same_message_twice_sends_nothing(world: World) -> None:
    world.call("members", ["a", "b"])
    messages = world.queue.waiting[:]
    world.drain()
    sent = len(world.braze.calls)
    world.queue.waiting = messages
    world.drain()
    assert len(world.braze.calls) == sent


def test_two_profiles_of_one_braze_user_leave_only_together(world: World) -> None:
    def call(action: str, *profiles: str, session: str) -> None:
        members = [{"mixpanel_distinct_id": p, "ref": "cust-1"} for p in profiles]
        world.call(action, (), session=session, members=members)

    world.sources = parse_sources("external_id=ref")
    call("members", "p1", "p2", session="s1")
    call("add_members", session="s2")
    call("remove_members", "p1", session="s2")
    world.drain()
    assert world.braze.members == {"cust-1"}
    call("add_members", session="s3")
    call("remove_members", "p2", session="s3")
    world.drain()
    assert world.braze.members == set()


def test_a_member_that_braze_rejects_is_counted_and_not_pushed_twice(
    world: World,
) -> None:
    world.braze.rejects = frozenset({"b"})
    world.call("members", ["a", "b"])
    assert world.drain().rejected == {"rejected": 1}
    assert world.braze.members == {"a"}
    world.full("a", "b", session="s2")
    assert len(world.braze.calls) == 1


def test_without_time_the_rest_follows_in_the_next_run(world: World) -> None:
    people = [f"u{number}" for number in range(STEP + 5)]
    world.call("members", people)
    world.seconds_left = [60.0, 5.0]
    with pytest.raises(RetryableError, match="next run"):
        world.step()
    assert len(world.braze.members) == STEP
    world.seconds_left = ()
    world.drain()
    assert world.braze.members == set(people)
    assert world.braze.noops == 0


def test_a_long_rescan_continues_in_further_messages(world: World) -> None:
    world.policy = Policy(guarded_members=10_000)
    people = [f"u{number:04}" for number in range(3 * STEP)]
    world.full(*people, session="s1")
    world.call("members", ["u0000"], session="s2")
    world.step()
    world.seconds_left = [60.0, 60.0, 5.0]
    world.step()
    assert len(world.queue.waiting) == 1, "a continuation"
    world.seconds_left = ()
    world.drain()
    assert world.braze.members == {"u0000"}


def test_a_page_that_is_gone_is_a_permanent_error_and_nobody_is_removed(
    world: World,
) -> None:
    world.full("a", session="s1")
    world.call("members", ["b"], session="s2")
    world.pages._pages.clear()
    with pytest.raises(PermanentError, match="gone"):
        world.step()
    assert world.braze.members == {"a"}


def test_a_message_of_an_unknown_sync_is_a_permanent_error(world: World) -> None:
    world.call("members", ["b"])
    message = world.queue.waiting[0].model_copy(update={"seq": 1})
    with pytest.raises(PermanentError, match="no such sync"):
        world.handle(message)


# The removal guard


def test_an_empty_full_sync_does_not_wipe_a_large_cohort(world: World) -> None:
    world.full(*crowd(0, 1_100), session="s1")
    world.call("members", [], session="s2")
    world.step()
    assert world.drain().held_removals == 1
    assert len(world.braze.members) == 1_100
    world.diff(["new"], ["u0000"], session="s3")
    assert len(world.braze.members) == 1_100, "diffs still count"
    world.full(session="s4")
    assert world.braze.members == set(), "a second full sync says the same"


def test_a_removal_of_less_than_the_share_is_not_held(world: World) -> None:
    world.full(*crowd(0, 1_100), session="s1")
    world.full(*crowd(550, 1_200), session="s2")
    assert world.braze.members == set(crowd(550, 1_200))


def test_the_guard_can_be_turned_off(world: World) -> None:
    world.policy = Policy(max_removal_fraction=1)
    world.full(*crowd(0, 1_100), session="s1")
    world.full("u0000", session="s2")
    assert world.braze.members == {"u0000"}


def test_a_long_measurement_continues_in_further_messages(world: World) -> None:
    world.full(*crowd(0, 3 * STEP), session="s1")
    world.call("members", crowd(0, 800), session="s2")
    world.step()
    assert isinstance(world.queue.waiting[0], MeasureRemovalMessage)
    world.seconds_left = [60.0, 5.0]
    world.step()
    assert len(world.queue.waiting) == 1, "a continuation"
    world.seconds_left = ()
    world.drain()
    assert world.braze.members == set(crowd(0, 800))


# No abort before the measurement


def written(world: World, since: int = 0) -> list[tuple[str, bool]]:
    """The writes of Braze, call by call, from one call on."""
    return [change for call in world.braze.calls[since:] for change in call]


def test_half_a_removal_before_a_full_list_that_agrees_writes_nothing(
    world: World,
) -> None:
    world.full(*crowd(0, 60), session="s1")
    world.wait()
    world.call("add_members", [], session="s2")
    world.call("remove_members", crowd(0, 30), page=(1, 2), session="s2")
    world.drain()
    since = len(world.braze.calls)
    world.full(*crowd(30, 60), session="s3")
    assert written(world, since) == []
    assert world.braze.members == set(crowd(30, 60))


def test_half_an_addition_before_a_full_list_writes_each_of_them_once(
    world: World,
) -> None:
    world.full(*crowd(0, 10), session="s1")
    world.wait()
    world.call("add_members", ["u", "v"], page=(1, 2), session="s2")
    world.drain()
    since = len(world.braze.calls)
    world.full(*crowd(1, 10), "u", session="s3")
    assert sorted(written(world, since)) == [("u0000", False), ("v", False)]


def test_nor_does_a_diff_abort_that_is_repeated_while_a_full_list_is_measured(
    world: World,
) -> None:
    """The page that repeats it is late: it comes while a long measurement goes on."""
    world.full(*crowd(0, 60), session="s1")
    world.diff([], crowd(0, 30), session="s2")
    world.wait()
    world.call("add_members", [], session="s3")
    world.call("remove_members", ["u0000"], session="s3")
    late = world.queue.waiting.pop()
    world.drain()
    since = len(world.braze.calls)
    world.wait()
    world.call("members", crowd(30, 60), session="s4")
    world.step()
    world.handle(late)
    # The continuation of the measurement is behind whatever the page has caused.
    world.queue.waiting.append(world.queue.waiting.pop(0))
    world.drain()
    assert written(world, since) == []
    assert world.braze.members == set(crowd(30, 60))


def test_if_the_removal_is_held_the_syncs_below_abort_then(world: World) -> None:
    world.full(*crowd(0, 1_200), session="s1")
    world.wait()
    world.call("add_members", [], session="s2")
    world.call("remove_members", crowd(0, 50), page=(1, 2), session="s2")
    world.drain()
    world.wait()
    world.call("members", ["u0000"], session="s3")
    assert world.drain().held_removals == 1
    assert world.braze.members == set(crowd(0, 1_200))
    assert world.ledger.cohort(KEY).aborted == frozenset()


# Reassertion and destination


def test_a_full_sync_reasserts_members_who_were_not_pushed_within_a_day(
    world: World,
) -> None:
    """Braze ignores users it does not know, and `a` may have signed up since."""
    world.full("a", "b", session="s1")
    world.braze.members.discard("a")
    world.full("a", "b", session="s2")
    assert world.braze.members == {"b"}, "pushed half an hour ago"
    world.now += 86_400_000
    world.full("a", "b", session="s3")
    assert world.braze.members == {"a", "b"}


def test_a_rolling_reassertion_reaches_every_member_once_in_its_days(
    world: World,
) -> None:
    world.full(*crowd(0, 60), session="s1")
    world.diff([], ["u0000"], session="s2")
    world.braze.members.clear()
    world.braze.calls.clear()
    for _ in range(30):
        world.now += 86_400_000
        run_maintenance(world.ledger, world.queue, world.now, 30)
        run_maintenance(world.ledger, world.queue, world.now, 30)
        world.drain()
    pushed = sorted(person for call in world.braze.calls for person, _ in call)
    assert pushed == crowd(1, 60), "each once, and nobody who is out"


def test_zero_days_reassert_nobody(world: World) -> None:
    world.policy = Policy(reassert_days=0)
    world.full("a", session="s1")
    world.now += 10 * 86_400_000
    assert run_maintenance(world.ledger, world.queue, world.now, 0).reasserted == 0
    world.full("a", session="s2")
    assert len(world.braze.calls) == 1


def test_another_destination_gets_everybody(world: World) -> None:
    world.full("a", "b", "c", session="s1")
    world.diff([], ["c"], session="s2")
    world.braze.workspace = "elsewhere"
    world.braze.members.clear()
    world.diff([], [], session="s3")
    assert world.braze.members == {"a", "b"}
    sent = len(world.braze.calls)
    world.diff([], [], session="s4")
    assert len(world.braze.calls) == sent


def test_a_name_is_published_once_and_when_it_changes_and_the_first_name_stays(
    world: World,
) -> None:
    world.call("members", ["a"], name="Trial")
    world.drain()
    world.diff([], [], session="s2")
    world.wait()
    world.call("add_members", ["b"], session="s3", name="Trial, new")
    world.call("remove_members", [], session="s3", name="Trial, new")
    world.drain()
    assert world.braze.names == [("7", "Trial"), ("7", "Trial, new")]
    assert world.ledger.cohort(KEY).first_name == "Trial"


def test_two_writes_for_one_person_are_kept_apart(world: World) -> None:
    """Braze promises no order between two calls that it has only queued."""
    world.full("a", session="s1")
    world.now -= 1_800_000
    world.diff([], ["a"], session="s2")
    assert world.slept
    assert world.slept[-1] > 0


# Maintenance


def test_a_page_that_was_registered_but_not_sent_is_sent_later(world: World) -> None:
    world.full("a", "b", session="s1")
    world.call("members", ["a"], page=(1, 1), session="s2")
    page = world.queue.waiting.pop()
    assert isinstance(page, PageMessage)
    world.forget_sending(page)
    assert run_maintenance(world.ledger, world.queue, world.now, 0).resent == 0, (
        "too early"
    )
    world.now += PATIENCE_MS
    assert run_maintenance(world.ledger, world.queue, world.now, 0).resent == 1
    assert run_maintenance(world.ledger, world.queue, world.now, 0).resent == 0
    world.drain()
    assert world.braze.members == {"a"}


def test_a_page_that_waits_in_the_queue_is_not_resent(world: World) -> None:
    world.call("members", ["a"])
    world.now += 10 * PATIENCE_MS
    assert run_maintenance(world.ledger, world.queue, world.now, 0).resent == 0


def silent(world: World, after_ms: int) -> int:
    """How many cohorts raise the alarm so long after the newest call."""
    now = world.now + after_ms
    return run_maintenance(world.ledger, world.queue, now, 0).silent


MINUTE_MS, HOUR_MS = 60_000, 3_600_000


def test_a_recurring_sync_that_stops_calling_is_noticed(world: World) -> None:
    world.full("a", session="s1")
    assert silent(world, 2 * HOUR_MS) == 0, "perhaps once"
    world.diff([], [], session="s2")
    assert silent(world, 80 * MINUTE_MS) == 0
    assert silent(world, 100 * MINUTE_MS) == 1
    assert silent(world, 26 * HOUR_MS) == 0, "disconnected"


@pytest.mark.parametrize("gap_hours", [1, 6, 24])
def test_silence_is_measured_by_the_usual_gap_of_the_cohort(
    world: World, gap_hours: int
) -> None:
    gap = gap_hours * HOUR_MS
    world.full("a", session="s0")
    for number in range(1, 6):
        # Beside the half hour of `diff`.
        world.now += gap - 1_800_000
        world.diff([], [], session=f"s{number}")
        assert silent(world, max(2 * gap, 80 * MINUTE_MS)) == 0
    assert silent(world, 3 * gap - 5 * MINUTE_MS) == 0
    assert silent(world, 3 * gap + 5 * MINUTE_MS) == 1
    assert silent(world, 3 * gap + 25 * HOUR_MS) == 0


def test_neither_retries_nor_an_outage_change_the_usual_gap(world: World) -> None:
    world.full("a", session="s0")
    for number in range(1, 5):
        world.diff([], [], session=f"s{number}")
        for again in range(3):
            world.call("add_members", [f"u{again}"], session=f"s{number}-{again}")
        world.drain()
    world.now += 48 * HOUR_MS
    world.diff([], [], session="s9")
    assert silent(world, 80 * MINUTE_MS) == 0
    assert silent(world, 100 * MINUTE_MS) == 1


def test_a_cohort_that_ended_is_not_reasserted_and_stays_in_the_index(
    world: World,
) -> None:
    """It may have been deleted in Mixpanel: each write would be one in vain."""
    world.full("a", "b", session="s1")
    day = 86_400_000
    for days, begun in ((1, 1), (29, 1), (31, 0), (120, 0)):
        now = world.now + days * day
        run = run_maintenance(world.ledger, world.queue, now, 30, 30)
        assert run.reasserted == begun, days
    assert [cohort.key for cohort in world.ledger.cohorts()] == [KEY]
    assert set(world.ledger.members(KEY, ["e:a", "e:b"])) == {"e:a", "e:b"}
    world.now += 121 * day
    world.full("a", session="s2")
    run = run_maintenance(world.ledger, world.queue, world.now, 30, 30)
    assert run.reasserted == 1, "it is back"
    run = run_maintenance(world.ledger, world.queue, world.now + 8 * day, 30, 7)
    assert run.reasserted == 0


# A page that crashes its process


class Crash(BaseException):
    """The process ends here."""


def test_a_member_that_is_crash_poison_is_quarantined_and_the_others_are_pushed(
    world: World,
) -> None:
    people = crowd(0, 2 * STEP)

    def crash_on(changes: list[tuple[str, bool]]) -> None:
        if "u0123" in dict(changes):
            raise Crash

    world.braze.on_call = crash_on
    world.call("members", people)
    crashes = 0
    while world.queue.waiting:
        try:
            world.handle(world.queue.waiting[0], received=crashes + 1)
            world.queue.waiting.pop(0)
        except Crash:
            crashes += 1
            assert crashes < 50
    assert world.braze.members == set(people) - {"u0123"}
    ((message, reason),) = world.quarantined
    assert reason == "crash_poison"
    world.braze.on_call = lambda _: None
    world.handle(message)
    assert world.braze.members == set(people), "a replay brings it back"


def test_an_error_that_is_raised_is_no_crash(world: World) -> None:
    world.braze.before = fail
    world.call("members", ["a"])
    for received in range(1, 60):
        with pytest.raises(RetryableError):
            world.handle(world.queue.waiting[0], received=received)
    assert world.quarantined == []
    world.braze.before = lambda: None
    world.handle(world.queue.waiting.pop(0), received=60)
    assert world.braze.members == {"a"}
