"""Both flows' AWS resources on moto, the functions' environment, and sample events."""

import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from bridge.aws.dynamodb import Table
from bridge.cohorts.adapters.dynamodb_brake import BRAKE
from bridge.credentials import Secret
from functions.cohort_consumer import app as consumer
from sandbox.aws_server import tables
from sandbox.cloudformation.resources import create_queue, create_table
from sandbox.cloudformation.template import Template
from sandbox.event_sources.sqs import sqs_record

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ROOT = Path(__file__).parents[2]
EVENTS = ROOT / "events"
REST_KEY = "canary-rest-key-5f0c"
PASSWORD = "example-password"  # this and the next three are in the sample events
PARTNER_KEY = "example-partner-key"
IMPORT_KEY = "example-import-key"
TOKEN = "example-token"
PROJECT_TOKEN = "canary-project-token-77aa"
REGION = "eu-west-1"
BRAZE_URL = "https://rest.iad-01.braze.com"


STORES = ("secret", "table", "queue", "bucket")
"""What the webhook reads and writes, for `Stack.delete`."""

tables.replace_moto()


def sample(name: str) -> dict[str, Any]:
    """A sample event of the folder `events`, by its name without `.json`."""
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return event


class Context:
    """A Lambda context with a given time left."""

    function_name = "function"
    memory_limit_in_mb = 256
    invoked_function_arn = f"arn:aws:lambda:{REGION}:111122223333:function:function"
    aws_request_id = "00000000-0000-4000-8000-000000000001"

    def __init__(self, seconds: float = 60.0) -> None:
        self.seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        return int(self.seconds * 1000)


class Clients:
    """One of each for all tests, as making one reads its service's description.

    moto catches their calls while it is on.
    """

    def __init__(self) -> None:
        session = boto3.Session("testing", "testing", region_name=REGION)
        self.sqs = session.client("sqs")
        self.s3 = session.client("s3")
        self.dynamodb = session.client("dynamodb")
        self.secrets = session.client("secretsmanager")
        self.kinesis = session.client("kinesis")


clients = cache(Clients)


@dataclass
class Stack:
    """The names of the resources, and clients to look into them."""

    queue_url: str
    bucket: str
    table: str

    def __post_init__(self) -> None:
        shared = clients()
        self.sqs, self.s3, self.dynamodb = shared.sqs, shared.s3, shared.dynamodb
        self.secrets, self.kinesis = shared.secrets, shared.kinesis

    def messages(self) -> list[dict[str, Any]]:
        """Receive up to ten messages of the queue, as records of an SQS event."""
        received: Any = self.sqs.receive_message(
            QueueUrl=self.queue_url, MaxNumberOfMessages=10, AttributeNames=["All"]
        )
        arn = template().identify("CohortQueue").attributes["Arn"]
        return [sqs_record(each, arn, REGION) for each in received.get("Messages", [])]

    def release_brake(self) -> None:
        """As if the windows of Braze's rate limits had ended."""
        brake: Any = consumer.consumer().braze.transport._brake
        brake._until.clear()
        Table(self.dynamodb, self.table).delete_all(
            (BRAKE, item["sk"])
            for item in Table(self.dynamodb, self.table).query_all(BRAKE)
        )

    def stream_records(self) -> list[bytes]:
        """The data of every record in the stream."""
        iterator = self.kinesis.get_shard_iterator(
            StreamName="currents",
            ShardId="shardId-000000000000",
            ShardIteratorType="TRIM_HORIZON",
        )["ShardIterator"]
        found = self.kinesis.get_records(ShardIterator=iterator)["Records"]
        return [record["Data"] for record in found]

    def delete(self, store: str) -> None:
        """Make one of `STORES` fail for the webhook."""
        match store:
            case "secret":
                self.secrets.delete_secret(
                    SecretId="webhook", ForceDeleteWithoutRecovery=True
                )
                forget_secrets()
            case "table":
                self.dynamodb.delete_table(TableName=self.table)
            case "queue":
                self.sqs.delete_queue(QueueUrl=self.queue_url)
            case "bucket":
                self.s3.delete_bucket(Bucket=self.bucket)

    def empty_ledger(self) -> None:
        """Empty the ledger: moto takes longer the more a partition holds."""
        self.dynamodb.delete_table(TableName=self.table)
        create_ledger_table(self.dynamodb)

    def acknowledge(self, records: list[dict[str, Any]]) -> None:
        """Delete messages, as Lambda does with those that were processed."""
        for record in records:
            self.sqs.delete_message(
                QueueUrl=self.queue_url, ReceiptHandle=record["receiptHandle"]
            )

    def objects(self, prefix: str) -> list[bytes]:
        """The contents of the data bucket's objects with this prefix, by key."""
        listed = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        return [
            self.s3.get_object(Bucket=self.bucket, Key=entry["Key"])["Body"].read()
            for entry in listed.get("Contents", [])
        ]


@cache
def template() -> Template:
    """The project's own; nothing needs to be built for its queues and tables."""
    required = {"MixpanelRegion": "EU", "BrazeRestEndpoint": BRAZE_URL}
    return Template(ROOT, required, REGION, endpoint="http://127.0.0.1")


def create_cohort_queue() -> str:
    """As the template has it, with its dead-letter queue; the URL."""
    create_queue(template(), clients().sqs, "CohortDeadLetterQueue")
    return create_queue(template(), clients().sqs, "CohortQueue")


def create_ledger_table(client: "DynamoDBClient") -> None:
    """As the template has it, under the name of `Stack.table`."""
    create_table(template(), client, "LedgerTable", name="ledger")


def forget_secrets() -> None:
    """Expire every cached secret, as five minutes would."""
    for secret in gc.get_referrers(Secret):
        if type(secret) is Secret:
            secret._fetched_at = float("-inf")


@contextmanager
def deployed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """The stack while it is open; the environment is that of all six functions."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "test")
    # Those are real seconds; tests/model has the gap.
    monkeypatch.setenv("WRITE_GAP_SECONDS", "0")
    with mock_aws():
        queue_url = create_cohort_queue()
        for bucket in ("data", "currents"):
            clients().s3.create_bucket(
                Bucket=bucket,
                CreateBucketConfiguration={"LocationConstraint": REGION},
            )
        # One shard, so that all records are read in one order.
        clients().kinesis.create_stream(StreamName="currents", ShardCount=1)
        create_ledger_table(clients().dynamodb)
        secrets = {
            "WEBHOOK": {
                "username": "mixpanel",
                "password": PASSWORD,
                "partner_api_keys": [PARTNER_KEY],
                "data_import_keys": [IMPORT_KEY],
            },
            "BRAZE": {"rest_api_key": REST_KEY},
            "CURRENTS": {"token": TOKEN},
            "MIXPANEL": {"project_token": PROJECT_TOKEN},
        }
        for name, login in secrets.items():
            secret = clients().secrets.create_secret(
                Name=name.lower(), SecretString=json.dumps(login)
            )
            monkeypatch.setenv(f"{name}_SECRET_ARN", secret["ARN"])
        monkeypatch.setenv("CURRENTS_STREAM", "currents")
        monkeypatch.setenv("MIXPANEL_REGION", "EU")
        monkeypatch.setenv("LEDGER_TABLE", "ledger")
        monkeypatch.setenv("COHORT_QUEUE_URL", queue_url)
        monkeypatch.setenv("DATA_BUCKET", "data")
        forget_secrets()
        yield Stack(queue_url, "data", "ledger")
