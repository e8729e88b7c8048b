"""A scan passes over every member once, shard by shard, and can be resumed."""

import pytest

from bridge.cohorts.apply.rescan import must_continue_later, rescan, scan
from bridge.cohorts.messages import RescanMessage
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


def test_the_ledger_in_memory_has_one_shard() -> None:
    assert MemoryLedger.shards == 1
