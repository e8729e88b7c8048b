"""A world with each of the two ledgers, which have to behave alike."""

from collections.abc import Iterator

import pytest
from moto import mock_aws

from bridge.aws.dynamodb import Table
from bridge.cohorts.adapters.dynamodb_ledger import DynamoLedger
from tests.integration.stack import clients, create_ledger_table
from tests.model.world import World


@pytest.fixture(params=["memory", "dynamodb"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param == "memory":
        yield World()
        return
    with mock_aws():
        client = clients().dynamodb
        create_ledger_table(client)
        yield World(DynamoLedger(Table(client, "ledger"), now=0))
