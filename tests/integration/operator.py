"""A deployed stack on moto, the operator's command on it, and an AWS that fails."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from cli.__main__ import main
from sandbox.braze import BrazeStandIn
from sandbox.mixpanel import MixpanelStandIn
from tests.integration.stack import (
    IMPORT_KEY,
    PARTNER_KEY,
    PASSWORD,
    PROJECT_TOKEN,
    REGION,
    REST_KEY,
    TOKEN,
)

NAME = "bridge-test"
RULES = "rules/currents.json"
HMAC_KEY = "canary-hmac-key-0123"
DAY = datetime(2026, 11, 3, 4, tzinfo=UTC)
CANARY = "canary-of-a-foreign-message"
LOGINS: dict[str, dict[str, Any]] = {
    "WebhookSecret": {"username": "mixpanel", "password": PASSWORD},
    "CurrentsSecret": {"token": TOKEN},
    "BrazeSecret": {
        "rest_api_key": REST_KEY,
        "partner_api_key": PARTNER_KEY,
        "data_import_key": IMPORT_KEY,
    },
    "MixpanelSecret": {"project_token": PROJECT_TOKEN, "hmac_key": HMAC_KEY},
}
SECRETS = {
    CANARY, PASSWORD, TOKEN, REST_KEY, PARTNER_KEY, IMPORT_KEY, PROJECT_TOKEN, HMAC_KEY
}  # fmt: skip


def fifo(name: str) -> dict[str, Any]:
    properties = {"QueueName": f"{name}.fifo", "FifoQueue": True}
    return {"Type": "AWS::SQS::Queue", "Properties": properties}


TEMPLATE: dict[str, Any] = {
    "Parameters": {
        name: {"Type": "String", "Default": default}
        for name, default in {
            "MixpanelRegion": "EU",
            "BrazeRestEndpoint": "https://rest.iad-01.braze.com",
            "BrazePartner": "acme",
            "EventRules": RULES,
            "Identifiers": "email=email",
            "CohortRoute": "attribute",
        }.items()
    },
    "Resources": {
        "CohortQueue": fifo("cohorts"),
        "CohortDeadLetterQueue": fifo("dead-letters"),
        "CurrentsStream": {
            "Type": "AWS::Kinesis::Stream",
            "Properties": {"Name": "currents", "ShardCount": 1},
        },
        "DataBucket": {
            "Type": "AWS::S3::Bucket",
            "Properties": {"BucketName": "data"},
        },
        "LedgerTable": {
            "Type": "AWS::DynamoDB::Table",
            "Properties": {
                "TableName": "ledger",
                "BillingMode": "PAY_PER_REQUEST",
                "KeySchema": [
                    {"AttributeName": "pk", "KeyType": "HASH"},
                    {"AttributeName": "sk", "KeyType": "RANGE"},
                ],
                "AttributeDefinitions": [
                    {"AttributeName": name, "AttributeType": "S"}
                    for name in ("pk", "sk")
                ],
            },
        },
    },
}


def denied(operation: str) -> ClientError:
    """As IAM denies a call; its message may hold anything."""
    answer: Any = {"Error": {"Code": "AccessDenied", "Message": CANARY}}
    return ClientError(answer, operation)


type Fault = Callable[[str, int], BaseException | None]


def none(_operation: str, _number: int) -> None:
    """No fault."""


@dataclass
class Aws:
    """Every call to AWS, and the latest arguments of each operation.

    The faults get a call's operation and its number among those of the operation.
    What `fail` returns is raised in place of the call, what `lose` returns after it.
    """

    calls: list[str] = field(default_factory=list)
    arguments: dict[str, Any] = field(default_factory=dict)
    fail: Fault = none
    lose: Fault = none

    def deny(self, operation: str, number: int | None = None) -> None:
        """Deny an operation each time, or only its call of this number."""
        self.fail = _one(operation, number)

    def lose_answer(self, operation: str, number: int) -> None:
        """Carry the call out, and fail all the same."""
        self.lose = _one(operation, number)

    def heal(self) -> None:
        self.fail = self.lose = none

    def call(
        self, operation: str, arguments: Any, carry_out: Callable[[Any], Any]
    ) -> Any:
        self.calls.append(operation)
        self.arguments[operation] = arguments
        if operation == "ReceiveMessage":
            # Those would be real seconds.
            arguments = {**arguments, "WaitTimeSeconds": 0}
        number = self.calls.count(operation)
        if error := self.fail(operation, number):
            raise error
        answer = carry_out(arguments)
        if error := self.lose(operation, number):
            raise error
        return answer


def _one(operation: str, number: int | None) -> Fault:
    return lambda called, at: (
        denied(called) if called == operation and number in {None, at} else None
    )


@dataclass(frozen=True)
class Vendors:
    """The stand-ins that the stack is pointed at."""

    braze: BrazeStandIn
    mixpanel: MixpanelStandIn


@dataclass
class Operator:
    """The command on this stack: its exit status and what it said."""

    capsys: pytest.CaptureFixture[str]
    vendors: Vendors

    def __post_init__(self) -> None:
        self.s3 = boto3.client("s3", REGION)
        self.sqs = boto3.client("sqs", REGION)
        self.secrets = boto3.client("secretsmanager", REGION)
        self.kinesis = boto3.client("kinesis", REGION)
        self.queues = {
            name: self.sqs.get_queue_url(QueueName=f"{name}.fifo")["QueueUrl"]
            for name in ("cohorts", "dead-letters")
        }

    def run(self, command: str) -> tuple[int, str]:
        return run(self.capsys, f"--stack {NAME} --region {REGION} {command}")

    def stream_records(self) -> list[dict[str, Any]]:
        """All records of the stream, as Kinesis gives them."""
        iterator = self.kinesis.get_shard_iterator(
            StreamName="currents",
            ShardId="shardId-000000000000",
            ShardIteratorType="TRIM_HORIZON",
        )["ShardIterator"]
        records: Any = self.kinesis.get_records(ShardIterator=iterator)["Records"]
        return list(records)

    def put_rules(self, content: bytes) -> None:
        self.s3.put_object(Bucket="data", Key=RULES, Body=content)

    def set_secret(self, name: str, text: str) -> None:
        self.secrets.put_secret_value(SecretId=name, SecretString=text)


def run(capsys: pytest.CaptureFixture[str], command: str) -> tuple[int, str]:
    """Whatever happens, no secret, no foreign message and no traceback is shown."""
    capsys.readouterr()
    status = main(command.split())
    captured = capsys.readouterr()
    said = captured.out + captured.err
    assert "Traceback" not in said
    assert {secret for secret in SECRETS if secret in said} == set()
    return status, said


def complaint(said: str) -> str:
    """The one line that says what is wrong."""
    (line,) = [each for each in said.splitlines() if each.startswith("wrong  ")]
    return line.removeprefix("wrong  ")
