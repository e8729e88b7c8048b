"""Senders that break the assumptions behind a sync: repeated changes, two connections.

Each test runs with the ledger in memory and with the ledger on DynamoDB.
"""

from itertools import count

from bridge.braze.partner_cohorts.server import CohortChange, CohortChanges
from bridge.cohorts.intake.partner_import import accept_changes
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
