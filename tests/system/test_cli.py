"""The operator's command against a running stack."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bridge.quarantine import Quarantine, QuarantinedItem
from cli.__main__ import main
from cli.output import Output
from sandbox.braze.currents import CurrentsSource
from sandbox.cloud import Cloud


@pytest.fixture
def description(cloud: Cloud, tmp_path: Path) -> str:
    path = tmp_path / "description.json"
    path.write_text(json.dumps(cloud.description))
    return str(path)


def test_check_finds_nothing_wrong_with_a_stack_that_works(
    description: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--description", description, "check"]) == 0
    said = capsys.readouterr().out
    assert said.count("right") >= 6
    assert "Mixpanel takes the login" in said
    assert "Braze takes the partner key" in said


def test_check_says_which_key_is_rejected(
    cloud: Cloud, description: str, capsys: pytest.CaptureFixture[str]
) -> None:
    braze: Any = cloud.braze
    keys, braze.keys = braze.keys, {}
    try:
        assert main(["--description", description, "check"]) == 1
    finally:
        braze.keys = keys
    said = capsys.readouterr().err
    assert "Braze rejects the REST key" in said
    assert cloud.description["braze_rest_api_key"] not in said


def test_the_quarantine_is_counted_and_replayed(
    cloud: Cloud, description: str, capsys: pytest.CaptureFixture[str]
) -> None:
    event = CurrentsSource(["replayed-user"], int(time.time()) - 60, seed=99).event()
    items = [
        QuarantinedItem(
            json.dumps(event).encode(),
            "rejected",
            position="shard:7/0",
            mapping="0",
            key=("[Old name]", "replayed-user", 1, "old-id"),
        ),
        QuarantinedItem(b"canary poison", "not_json"),
    ]
    bucket = cloud.description["resources"]["DataBucket"]
    day = datetime(2031, 1, 2, tzinfo=UTC)
    Quarantine(cloud.client("s3"), bucket, "currents").put("test", day, items)
    assert main(["--description", description, "status", "--date", "2031-01-02"]) == 0
    assert "quarantined in currents: rejected" in capsys.readouterr().out
    assert main(["--description", description, "replay", "--date", "2031-01-02"]) == 0
    said = capsys.readouterr().out
    assert "1  events replayed" in said
    assert "1  events left: not_json" in said
    assert "1  of these get another key under mapping" in said
    assert "shard:7/0 (mapping 0): ('[Old name]', 'replayed-user', 1, 'old-id')" in said
    cloud.drain(60)
    mixpanel: Any = cloud.mixpanel
    assert "replayed-user" in {key[1] for key in mixpanel.visible()}


def test_pages_come_back_from_the_dead_letter_queue(
    cloud: Cloud, description: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sqs = cloud.client("sqs")
    resources = cloud.description["resources"]
    sqs.send_message(
        QueueUrl=resources["CohortDeadLetterQueue"],
        MessageBody="{}",
        MessageGroupId="g",
        MessageDeduplicationId="d",
    )
    assert main(["--description", description, "replay", "--date", "1999-01-01"]) == 0
    assert "1  pages from the dead-letter queue" in capsys.readouterr().out
    cloud.drain(60)


def test_a_stack_that_is_not_there_is_said_plainly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = str(tmp_path / "none.json")
    assert main(["--description", missing, "check"]) == 1
    assert "make run KEEP=1" in capsys.readouterr().err


def test_a_name_from_outside_cannot_steer_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Output().say("\x1b]0;owned\x07 [/] [red]\u202ename", "wrong", "red")
    said = capsys.readouterr().out
    assert "[/] [red]" in said, "no markup of ours"
    assert not set(said) & {"\x1b", "\x07", "\u202e"}
