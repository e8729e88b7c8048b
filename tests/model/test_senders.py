"""Senders that break the assumptions behind a sync: repeated changes, two connections.

Each test runs with the ledger in memory and with the ledger on DynamoDB.
"""

from itertools import count

from bridge.braze.partner_cohorts.server import CohortChange, CohortChanges
from bridge.cohorts.intake.partner_import import accept_changes
from bridge.cohorts.maintenance import run_maintenance
from bridge.cohorts.rules.model import FEEDING_MS
from tests.model.world import KEY, World

_requests = count()


def import_call(world: World, *changes: CohortChange, wait_ms: int = 1_000) -> None:
    """One call of the cohort import, applied at once."""
    world.now += wait_ms
    accept_changes(
        KEY.project,
        CohortChanges(KEY.cohort, changes),
        f"request-{next(_requests)}",
        world.now,
        ledger=world.ledger,
        pages=world.pages,
        queue=world.queue,
    )
    world.drain()


def adds(*people: str) -> CohortChange:
    return CohortChange(True, people)


def removes(*people: str) -> CohortChange:
    return CohortChange(False, people)


# The cohort import: each call is the last word on whom it names


def test_a_sender_of_the_import_may_repeat_a_change(world: World) -> None:
    import_call(world, adds("u1", "u2"))
    import_call(world, adds("u2", "u3"))
    assert world.braze.members == {"u1", "u2", "u3"}
    assert sum(map(len, world.braze.calls)) == 3


def test_a_removal_that_the_import_repeats_puts_nobody_back(world: World) -> None:
    import_call(world, adds("u1", "u2", "u3"))
    import_call(world, removes("u1", "u2"), adds("u4"))
    import_call(world, removes("u2"))
    import_call(world, removes("u2", "u3"), adds("u4", "u5"))
    assert world.braze.members == {"u4", "u5"}
    assert sum(map(len, world.braze.calls)) == 8


def test_a_sender_that_starts_from_the_top_an_hour_later_loses_nobody(
    world: World,
) -> None:
    batches = [adds("u1", "u2"), adds("u3"), removes("u4"), adds("u5")]
    for batch in (*batches[:2], *batches):
        import_call(world, batch, wait_ms=3_600_000)
    import_call(world, adds("u4"))
    assert world.braze.members == {"u1", "u2", "u3", "u4", "u5"}


def test_half_an_import_call_is_neither_taken_back_nor_joined(world: World) -> None:
    """The process ended between its two pages; the sender repeats the call."""
    import_call(world, adds("u1", "u2"))
    world.now += 1_000
    accept_changes(
        KEY.project,
        CohortChanges(KEY.cohort, [adds("u3"), removes("u1")]),
        "half",
        world.now,
        ledger=world.ledger,
        pages=world.pages,
        queue=world.queue,
    )
    world.queue.waiting.pop()
    world.drain()
    assert world.braze.members == {"u1", "u2", "u3"}
    import_call(world, removes("u2"))
    import_call(world, adds("u9"))
    assert world.braze.members == {"u1", "u3", "u9"}


def test_syncs_of_the_import_are_closed_once_they_are_applied(world: World) -> None:
    for number in range(4):
        import_call(world, adds(f"u{number}"))
    assert world.ledger.cohort(KEY).syncs == ()


# Two connections


def diff(
    world: World,
    sender: str,
    add: tuple[str, ...] = (),
    remove: tuple[str, ...] = (),
    *,
    session: str = "s1",
) -> None:
    world.now += 600_000
    world.call("add_members", add, sender=sender, session=session)
    world.call("remove_members", remove, sender=sender, session=session)
    world.drain()


def full(world: World, sender: str, *people: str, session: str = "s0") -> None:
    world.now += 600_000
    world.call("members", people, sender=sender, session=session)
    world.drain()


def test_two_connections_may_both_state_a_change(world: World) -> None:
    full(world, "A", "w1")
    full(world, "B", "w1")
    diff(world, "A", ("w2",))
    diff(world, "B", ("w2", "w3"))
    diff(world, "A", ("w3",), session="s2")
    assert world.braze.members == {"w1", "w2", "w3"}
    assert sum(map(len, world.braze.calls)) == 3
    assert world.ledger.cohort(KEY).has_two_senders


def test_two_connections_may_both_state_a_removal(world: World) -> None:
    full(world, "A", "w1", "w2", "w3")
    full(world, "B", "w1", "w2", "w3")
    diff(world, "A", (), ("w1",))
    diff(world, "B", (), ("w1", "w2"))
    diff(world, "A", (), ("w2",), session="s2")
    assert world.braze.members == {"w3"}


def test_half_a_sync_is_aborted_by_its_own_sender_alone(world: World) -> None:
    full(world, "A", "w1")
    full(world, "B", "w1")
    world.now += 600_000
    world.call("add_members", ["w2"], page=(1, 2), sender="A", session="half")
    world.drain()
    diff(world, "B", ("w4",))
    assert world.braze.members == {"w1", "w2", "w4"}, "A may yet send its other page"
    diff(world, "A", ("w4",), session="s2")
    assert world.braze.members == {"w1", "w4"}


def test_an_action_joins_the_diff_of_its_own_sender(world: World) -> None:
    full(world, "A", "w1", "w2")
    full(world, "B", "w1", "w2")
    world.call("add_members", ["w3"], sender="A", session="a-add")
    world.call("add_members", ["w3"], sender="B", session="b-add")
    world.call("remove_members", ["w1"], sender="A", session="a-remove")
    world.call("remove_members", ["w1"], sender="B", session="b-remove")
    world.drain()
    diffs = [sync for sync in world.ledger.cohort(KEY).syncs if not sync.full]
    assert [len(sync.accepted) for sync in diffs] == [2, 2]
    assert world.braze.members == {"w2", "w3"}


def test_one_session_id_of_two_senders_is_two_sessions(world: World) -> None:
    full(world, "A", "w1")
    world.call("add_members", ["w2"], page=(1, 2), sender="A", session="same")
    world.call("add_members", ["w3"], page=(2, 2), sender="B", session="same")
    world.drain()
    assert len([s for s in world.ledger.cohort(KEY).syncs if not s.full]) == 2


def test_a_connection_that_was_renamed_is_one_again_after_three_days(
    world: World,
) -> None:
    full(world, "old", "w1")
    world.call("add_members", ["w2"], page=(1, 2), sender="old", session="half")
    world.drain()
    diff(world, "new", ("w3",))
    assert world.ledger.cohort(KEY).has_two_senders
    world.now += FEEDING_MS
    diff(world, "new", session="s2")
    assert not world.ledger.cohort(KEY).has_two_senders
    assert world.braze.members == {"w1", "w3"}


def test_maintenance_counts_cohorts_that_two_connections_feed(world: World) -> None:
    full(world, "A", "w1")
    run = run_maintenance(world.ledger, world.queue, world.now, 0)
    assert run.two_senders == 0
    full(world, "B", "w1")
    run = run_maintenance(world.ledger, world.queue, world.now, 0)
    assert run.two_senders == 1
    world.now += FEEDING_MS
    run = run_maintenance(world.ledger, world.queue, world.now, 0)
    assert run.two_senders == 0
