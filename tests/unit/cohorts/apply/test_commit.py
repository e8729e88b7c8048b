"""A resolution is written after its messages, by whoever read the cohort last."""

import pytest

from bridge.cohorts.apply.commit import COMMIT_TRIES, commit
from bridge.cohorts.cohort_messages import MeasureRemovalMessage, RescanMessage
from bridge.cohorts.rules.commit import Resolution
from bridge.cohorts.rules.model import Cohort
from bridge.errors import RetryableError
from tests.model.world import KEY, World


def test_a_resolution_that_changes_nothing_is_not_written() -> None:
    world = World()
    commit(world.context(), KEY, lambda cohort: Resolution(cohort.baseline))
    assert world.ledger.cohort(KEY).revision == 0
    assert world.queue.waiting == []


@pytest.mark.parametrize(
    ("resolution", "message"),
    [
        (Resolution(5, rescan=True), RescanMessage(key=KEY, baseline=5)),
        (
            Resolution(0, measuring=5, measure_removal=True),
            MeasureRemovalMessage(key=KEY, seq=5),
        ),
    ],
)
def test_a_message_carries_out_what_was_resolved(
    resolution: Resolution, message: object
) -> None:
    world = World()
    commit(world.context(), KEY, lambda _: resolution)
    assert world.queue.waiting == [message]
    cohort = world.ledger.cohort(KEY)
    assert (cohort.baseline, cohort.measuring) == (
        resolution.baseline,
        resolution.measuring,
    )


def test_the_loser_of_a_race_reads_again_and_resolves_anew() -> None:
    world = World()
    seen: list[int] = []

    def rule(cohort: Cohort) -> Resolution:
        seen.append(cohort.revision)
        if len(seen) == 1:
            world.call("members", ["a"])  # the webhook is faster
        return Resolution(5, rescan=True)

    commit(world.context(), KEY, rule)
    assert seen == [0, 1]
    assert world.ledger.cohort(KEY).baseline == 5


def test_a_cohort_that_changes_all_the_time_is_deferred(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    tries: list[object] = []

    def lose(*_: object) -> bool:
        tries.append(None)
        return False

    monkeypatch.setattr(world.ledger, "advance", lose)
    with pytest.raises(RetryableError) as caught:
        commit(world.context(), KEY, lambda _: Resolution(5, rescan=True))
    assert caught.value.reason == "ledger_contention"
    assert len(tries) == COMMIT_TRIES
