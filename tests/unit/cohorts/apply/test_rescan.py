"""A scan passes over every member once, shard by shard, and can be resumed."""

from collections.abc import Sequence
from typing import override

import pytest

from bridge.cohorts.apply.rescan import must_continue_later, rescan, scan
from bridge.cohorts.cohort_messages import RescanMessage
from bridge.cohorts.messages import CohortKey
from bridge.cohorts.rules.membership import Confirmed, Member
from tests.fakes.memory_ledger import MemoryLedger
from tests.model.world import KEY, World, crowd


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5])
def test_a_scan_meets_every_member_once_and_says_where_it_continues(
    count: int,
) -> None:
    world = World()
    world.braze.step = 2
    people = crowd(0, count)
    world.ledger.save(KEY, [Member(f"e:{name}") for name in people])
    steps = list(scan(world.context(), KEY, 0, ""))
    keys = [member.key for found, _ in steps for member in found]
    assert keys == [f"e:{name}" for name in people]
    assert [position for _, position in steps][-1] is None, "the end"
    for number, (_, position) in enumerate(steps[:-1], 1):
        assert position
        rest = [
            m.key for found, _ in scan(world.context(), KEY, *position) for m in found
        ]
        assert rest == keys[2 * number :]


def test_without_time_the_rest_is_a_message_of_its_own() -> None:
    world = World()
    message = RescanMessage(key=KEY, baseline=5)
    assert not must_continue_later(world.context(), message, (0, "e:u"))
    assert world.queue.waiting == []
    world.seconds_left = [1.0]
    assert must_continue_later(world.context(), message, (0, "e:u"))
    assert world.queue.waiting == [message.model_copy(update={"after": "e:u"})]


def test_a_rescan_pushes_only_what_differs() -> None:
    world = World()
    holds = Member("e:a", {"a": {5: True}}, Confirmed.IN, "here")
    differs = Member("e:b", {"b": {5: True}}, Confirmed.OUT, "here")
    world.ledger.save(KEY, [holds, differs])
    assert rescan(world.context(), RescanMessage(key=KEY)).pushed == 1
    assert world.braze.calls == [[("b", True)]]


class Sharded(MemoryLedger):
    """Members in sixteen shards, a letter each."""

    shards = 16

    @override
    def scan(
        self, key: CohortKey, shard: int, after: str, limit: int
    ) -> Sequence[Member]:
        found = super().scan(key, 0, after, 10_000)
        return [m for m in found if ord(m.key[2]) % 16 == shard][:limit]


def spread(count: int) -> World:
    """A world whose ledger holds members in all shards, who are not in Braze yet."""
    world = World(Sharded())
    names = [f"{chr(97 + number % 16)}{number:03}" for number in range(count)]
    world.ledger.save(
        KEY,
        [Member(f"e:{n}", {n: {5: True}}, Confirmed.OUT, "here") for n in names],
    )
    return world


@pytest.mark.parametrize(
    ("count", "step", "calls"), [(30, 300, [30]), (30, 12, [12, 12, 6]), (16, 16, [16])]
)
def test_changes_that_are_spread_over_shards_share_calls(
    count: int, step: int, calls: list[int]
) -> None:
    world = spread(count)
    world.braze.step = step
    assert rescan(world.context(), RescanMessage(key=KEY)).pushed == count
    assert [len(call) for call in world.braze.calls] == calls


@pytest.mark.parametrize("after_checks", range(1, 30, 3))
def test_a_rescan_without_time_continues_and_pushes_everybody_once(
    after_checks: int,
) -> None:
    world = spread(50)
    world.braze.step = 12
    world.seconds_left = [300.0] * after_checks + [1.0]
    message = RescanMessage(key=KEY, day=1, days=1)
    rescan(world.context(), message)
    world.seconds_left = ()
    world.drain()
    pushed = [name for call in world.braze.calls for name, _ in call]
    assert len(pushed) == len(set(pushed)) == 50


def test_the_ledger_in_memory_has_one_shard() -> None:
    assert MemoryLedger.shards == 1
