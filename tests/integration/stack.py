"""The AWS resources of both flows on moto, and the environment of the functions."""

import gc
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from bridge.credentials import Secret
from bridge.observability import logger
from sandbox.aws_server import tables
from sandbox.event_sources.sqs import sqs_record

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

EVENTS = Path(__file__).parents[2] / "events"
REST_KEY = "canary-rest-key-5f0c"
PASSWORD = "example-password"  # the ones of the sample events
PARTNER_KEY = "example-partner-key"
IMPORT_KEY = "example-import-key"
TOKEN = "example-token"
PROJECT_TOKEN = "canary-project-token-77aa"
REGION = "eu-west-1"

tables.replace_moto()


def sample(name: str) -> dict[str, Any]:
    """One of the sample payloads of the folder `events`."""
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
    """One of each for all tests: a new one reads its service's description anew.

    moto catches whatever they call while it is on.
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
    """Names of what was made, and the clients to look at it."""

    queue_url: str
    bucket: str
    table: str

    def __post_init__(self) -> None:
        made = clients()
        self.sqs, self.s3, self.dynamodb = made.sqs, made.s3, made.dynamodb
        self.secrets, self.kinesis = made.secrets, made.kinesis

    def messages(self) -> list[dict[str, Any]]:
        """Receive what waits in the queue, as records of an SQS event."""
        received: Any = self.sqs.receive_message(
            QueueUrl=self.queue_url, MaxNumberOfMessages=10, AttributeNames=["All"]
        )
        arn = f"arn:aws:sqs:{REGION}:111122223333:cohorts.fifo"
        return [sqs_record(each, arn, REGION) for each in received.get("Messages", [])]

    def stream_records(self) -> list[bytes]:
        """What was put into the stream so far."""
        iterator = self.kinesis.get_shard_iterator(
            StreamName="currents",
            ShardId="shardId-000000000000",
            ShardIteratorType="TRIM_HORIZON",
        )["ShardIterator"]
        found = self.kinesis.get_records(ShardIterator=iterator)["Records"]
        return [record["Data"] for record in found]

    def forget(self) -> None:
        """Empty the ledger: moto takes longer the more a partition holds."""
        self.dynamodb.delete_table(TableName=self.table)
        create_ledger_table(self.dynamodb)

    def acknowledge(self, records: list[dict[str, Any]]) -> None:
        for record in records:
            self.sqs.delete_message(
                QueueUrl=self.queue_url, ReceiptHandle=record["receiptHandle"]
            )

    def kept(self, prefix: str) -> list[bytes]:
        """Contents of the objects below a prefix of the data bucket."""
        listed = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        return [
            self.s3.get_object(Bucket=self.bucket, Key=found["Key"])["Body"].read()
            for found in listed.get("Contents", [])
        ]


def create_ledger_table(client: "DynamoDBClient") -> None:
    client.create_table(
        TableName="ledger",
        KeySchema=[
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )


def forget_secrets() -> None:
    """Let five minutes pass for the cache of secrets."""
    for held in gc.get_referrers(Secret):
        if type(held) is Secret:
            held._fetched_at = float("-inf")


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """What the logger writes: it holds the stream that stood there at its import."""
    handler: Any = logger.registered_handler
    stream = io.StringIO()
    before = handler.setStream(stream)
    yield stream
    handler.setStream(before)


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "test")
    # Those are real seconds; tests/model has the gap.
    monkeypatch.setenv("WRITE_GAP_SECONDS", "0")
    with mock_aws():
        made = clients()
        queue = made.sqs.create_queue(
            QueueName="cohorts.fifo",
            Attributes={"FifoQueue": "true", "VisibilityTimeout": "360"},
        )
        for bucket in ("data", "currents"):
            made.s3.create_bucket(
                Bucket=bucket,
                CreateBucketConfiguration={"LocationConstraint": REGION},
            )
        made.kinesis.create_stream(StreamName="currents", ShardCount=1)
        create_ledger_table(made.dynamodb)
        secrets = made.secrets
        webhook = secrets.create_secret(
            Name="webhook",
            SecretString=json.dumps(
                {
                    "username": "mixpanel",
                    "password": PASSWORD,
                    "partner_api_keys": [PARTNER_KEY],
                    "data_import_keys": [IMPORT_KEY],
                }
            ),
        )
        braze = secrets.create_secret(
            Name="braze", SecretString=json.dumps({"rest_api_key": REST_KEY})
        )
        tokens = secrets.create_secret(
            Name="currents", SecretString=json.dumps({"token": TOKEN})
        )
        mixpanel = secrets.create_secret(
            Name="mixpanel", SecretString=json.dumps({"project_token": PROJECT_TOKEN})
        )
        monkeypatch.setenv("CURRENTS_STREAM", "currents")
        monkeypatch.setenv("CURRENTS_SECRET_ARN", tokens["ARN"])
        monkeypatch.setenv("MIXPANEL_SECRET_ARN", mixpanel["ARN"])
        monkeypatch.setenv("MIXPANEL_REGION", "EU")
        monkeypatch.setenv("LEDGER_TABLE", "ledger")
        monkeypatch.setenv("COHORT_QUEUE_URL", queue["QueueUrl"])
        monkeypatch.setenv("DATA_BUCKET", "data")
        monkeypatch.setenv("WEBHOOK_SECRET_ARN", webhook["ARN"])
        monkeypatch.setenv("BRAZE_SECRET_ARN", braze["ARN"])
        forget_secrets()
        yield Stack(queue["QueueUrl"], "data", "ledger")
