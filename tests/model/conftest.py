"""A world with each of the ledgers, which have to behave alike.

`make rehearse` names the table of a stack that it has deployed: a third one.
"""

import os
from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from bridge.aws.dynamodb import Table
from bridge.cohorts.adapters.dynamodb_ledger import DynamoLedger
from tests.integration.stack import clients, create_ledger_table
from tests.model.world import World

REHEARSED = os.environ.get("REHEARSED_TABLE")


@pytest.fixture(params=["memory", "dynamodb", *(["rehearsed"] if REHEARSED else [])])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param == "memory":
        yield World()
        return
    if request.param == "rehearsed":
        # Without a resource of its own: the endpoint is in the environment.
        table = boto3.resource("dynamodb").Table(REHEARSED)
        with table.batch_writer() as batch:
            for item in table.scan(ConsistentRead=True)["Items"]:
                batch.delete_item(Key={name: item[name] for name in ("pk", "sk")})
        client = boto3.client("dynamodb")
        yield World(DynamoLedger(Table(client, str(REHEARSED)), now=0))
        return
    with mock_aws():
        client = clients().dynamodb
        create_ledger_table(client)
        yield World(DynamoLedger(Table(client, "ledger"), now=0))
