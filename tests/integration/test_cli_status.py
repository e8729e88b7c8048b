"""`bridge status` says why the stream waits."""

from datetime import timedelta

import pytest

from bridge.quarantine import SAMPLES, Quarantine, QuarantinedItem
from tests.integration.operator import CANARY, DAY, Operator

SUMMARY = "events of 6 records are rejected; 12 of 15 events of users.x are for url"


@pytest.fixture
def sampled(operator: Operator) -> Operator:
    sample = QuarantinedItem(
        b"{}", "mass_rejection", message=CANARY, summary=SUMMARY, kind="users.x"
    )
    quarantine = Quarantine(operator.s3, "data", "currents")
    quarantine.put(f"shard-1000{SAMPLES}", DAY, [sample, sample])
    return operator


def test_a_waiting_stream_is_named_with_what_is_rejected(sampled: Operator) -> None:
    status, said = sampled.run("status")
    assert status == 0
    # A narrow terminal folds the line, also within a long word.
    line = "".join(said.split())
    assert "thestreamwaits" in line
    assert SUMMARY.replace(" ", "") in line
    assert f"shard-1000{SAMPLES}.ndjson" in line
    assert CANARY not in said


def test_a_stream_that_has_not_tried_again_for_long_waited(
    sampled: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.waiting.STILL_WAITING", timedelta(0))
    _, said = sampled.run("status")
    assert "the stream waited, last try" in said


def test_a_replay_leaves_the_samples(sampled: Operator) -> None:
    _, said = sampled.run("replay")
    assert "2  events left: mass_rejection" in said
