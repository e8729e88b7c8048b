"""What one consumer learns of Braze's limits, all of them keep to."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from bridge.aws.dynamodb import Table
from bridge.cohorts.adapters.dynamodb_brake import SharedBrake
from bridge.errors import RetryableError

TRACK = "/users/track"


class Now:
    def __init__(self) -> None:
        self.at = 1_927_000_000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def dynamodb(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        client = boto3.client("dynamodb", "eu-west-1")
        client.create_table(
            TableName="ledger",
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")
            ],
        )
        yield client


def test_another_process_learns_of_it_within_a_second(dynamodb: Any) -> None:
    now = Now()
    one, other = (SharedBrake(Table(dynamodb, "ledger"), now) for _ in range(2))
    assert other.until(TRACK) == 0
    one.hold(TRACK, now.at + 60)
    assert one.until(TRACK) == now.at + 60
    assert other.until(TRACK) == 0, "read a moment ago"
    now.at += 1
    assert other.until(TRACK) == now.at + 59
    assert other.until("/users/export/ids") == 0


def test_it_is_read_once_a_second_and_the_same_is_written_once(dynamodb: Any) -> None:
    calls: list[str] = []
    dynamodb.meta.events.register(
        "before-call.*.*", lambda model, **_: calls.append(model.name)
    )
    now = Now()
    brake = SharedBrake(Table(dynamodb, "ledger"), now)
    for _ in range(10):
        brake.until(TRACK)
        now.at += 0.15
    assert calls == ["Query", "Query"]
    brake.hold(TRACK, now.at + 5)
    brake.hold(TRACK, now.at + 4)
    assert calls[2:] == ["UpdateItem"]


def test_where_the_ledger_fails_no_call_is_made_blindly(dynamodb: Any) -> None:
    brake = SharedBrake(Table(dynamodb, "missing"), Now())
    with pytest.raises(RetryableError):
        brake.until(TRACK)
