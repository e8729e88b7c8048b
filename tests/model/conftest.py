"""A world for each ledger, so that the two cannot come apart."""

from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from bridge.cohorts.ledger import DynamoLedger
from bridge.cohorts.table import Table
from tests.integration.stack import create_ledger_table
from tests.model.world import World


@pytest.fixture(params=["memory", "dynamodb"])
def world(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    if request.param == "memory":
        yield World()
        return
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        client = boto3.client("dynamodb", "eu-west-1")
        create_ledger_table(client)
        yield World(DynamoLedger(Table(client, "ledger"), now=0))
