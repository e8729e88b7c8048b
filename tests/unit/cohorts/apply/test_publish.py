"""The cohort's name is published once, and a new destination queues a rescan."""

from dataclasses import replace

import pytest

from bridge.cohorts.apply.publish import publish
from bridge.cohorts.cohort_messages import RescanMessage
from bridge.cohorts.rules.model import Cohort
from bridge.errors import Rejected
from tests.model.world import KEY, World

NAMED = Cohort(name="Trial", destination="here", baseline=5, revision=3)


def test_a_name_is_published_and_recorded_with_its_destination() -> None:
    world = World()
    publish(world.context(), KEY, NAMED)
    assert world.braze.names == [("7", "Trial")]
    assert world.ledger.cohort(KEY).published_name == "Trial"


@pytest.mark.parametrize(
    "cohort", [replace(NAMED, published_name="Trial"), replace(NAMED, name="")]
)
def test_a_name_that_is_published_or_missing_is_not_sent(cohort: Cohort) -> None:
    world = World()
    publish(world.context(), KEY, cohort)
    assert world.braze.names == []
    assert world.queue.waiting == []


def test_another_destination_queues_one_rescan_of_all_members() -> None:
    world = World()
    world.braze.workspace = "elsewhere"
    publish(world.context(), KEY, NAMED)
    assert world.queue.waiting == [
        RescanMessage(key=KEY, baseline=5, destination="elsewhere 3")
    ]
    assert world.ledger.cohort(KEY).destination == "elsewhere"


def test_the_first_destination_needs_no_rescan() -> None:
    world = World()
    publish(world.context(), KEY, replace(NAMED, destination=""))
    assert world.queue.waiting == []
    assert world.ledger.cohort(KEY).destination == "here"


def test_a_name_that_braze_rejects_is_counted_and_does_not_stop_the_members(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()

    def reject(*_: object) -> None:
        raise Rejected("braze_400")

    monkeypatch.setattr(world.braze, "name", reject)
    assert publish(world.context(), KEY, NAMED) == {"braze_400": 1}
    assert world.ledger.cohort(KEY).published_name == "Trial", "not sent again"
