"""A page is stored, registered and queued before it is answered."""

import pytest

from bridge.cohorts.intake.accept import REGISTER_TRIES
from bridge.cohorts.messages import PageMessage
from bridge.errors import RetryableError
from tests.model.world import KEY, World


def test_an_accepted_page_is_in_all_three_stores() -> None:
    world = World()
    accepted = world.call("members", ["a", "b"])
    (message,) = world.queue.waiting
    assert isinstance(message, PageMessage)
    assert (message.seq, accepted.repeated) == (accepted.seq, False)
    assert len(world.pages.get(KEY, message.digest)) == accepted.matched == 2
    (page,) = world.ledger.registered(KEY, accepted.seq)
    assert (page.digest, page.sent) == (message.digest, True)


def test_a_repeated_page_is_queued_once_more_and_registered_once() -> None:
    world = World()
    first = world.call("members", ["a"])
    world.queue.waiting.clear()
    second = world.call("members", ["a"])
    assert (second.seq, second.repeated) == (first.seq, True)
    assert len(world.queue.waiting) == 1, "its first message may be lost"
    assert len(world.ledger.registered(KEY, first.seq)) == 1


def test_a_page_that_always_loses_the_race_is_sent_again_by_its_sender(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    tries: list[object] = []

    def lose(*_: object) -> bool:
        tries.append(None)
        return False

    monkeypatch.setattr(world.ledger, "register", lose)
    with pytest.raises(RetryableError) as caught:
        world.call("members", ["a"])
    assert caught.value.reason == "ledger_contention"
    assert len(tries) == REGISTER_TRIES
    assert world.queue.waiting == []
