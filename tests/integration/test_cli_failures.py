"""What the operator's command says, and how it ends, when something is not there."""

import json
import time
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import (
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
)

from bridge.aws.dynamodb import Table
from bridge.cohorts.adapters.dynamodb_ledger import DynamoLedger
from bridge.cohorts.adapters.sync_items import called_update
from bridge.cohorts.messages import CohortKey, PageMessage, write
from bridge.cohorts.rules.commit import Resolution
from bridge.quarantine import Quarantine, QuarantinedItem
from tests.integration.operator import (
    CANARY,
    DAY,
    NAME,
    Aws,
    Operator,
    complaint,
    run,
)
from tests.integration.stack import REGION

HELD = CohortKey(project="7", cohort="8120045")
FREE = CohortKey(project="7", cohort="8120046")
LEDGER = ("Query", "BatchGetItem")
OPERATIONS = {
    "check": (),
    "status": ("GetQueueAttributes", "ListObjectsV2", "GetObject", *LEDGER),
    "cohorts": LEDGER,
    f"cohort {HELD.cohort}": LEDGER,
    f"members {HELD.cohort}": (*LEDGER, "ListObjectsV2"),
    f"members {HELD.cohort} --user u7": (*LEDGER, "ListObjectsV2"),
    "quarantine list": ("ListObjectsV2", "GetObject"),
    "quarantine export": ("ListObjectsV2", "GetObject"),
    "forget u7": (*LEDGER, "ListObjectsV2", "GetObject"),
    f"forget-cohort {FREE.cohort} --yes": (*LEDGER, "BatchWriteItem"),
    f"release {HELD.cohort}": (*LEDGER, "SendMessage"),
    f"reassert {HELD.cohort}": ("Query", "SendMessage"),
    "replay": (
        "ListObjectsV2",
        "GetObject",
        "PutRecord",
        "SendMessage",
        "ReceiveMessage",
        "DeleteMessage",
    ),
}
"""What each command asks AWS for on its way, besides CloudFormation."""
CALLS = [
    (command, operation)
    for command, operations in OPERATIONS.items()
    for operation in ("DescribeStacks", "ListStackResources", *operations)
]
FAILURES: dict[str, Exception] = {
    "EndpointConnectionError": EndpointConnectionError(endpoint_url=CANARY),
    "ConnectTimeoutError": ConnectTimeoutError(endpoint_url=CANARY),
    "NoCredentialsError": NoCredentialsError(),
}


@pytest.fixture
def busy(operator: Operator, aws: Aws) -> Operator:
    """Two cohorts, one with a held removal; a quarantined item and a dead letter."""
    table = Table(boto3.client("dynamodb", REGION), "ledger")
    ledger = DynamoLedger(table, time.time())
    for key in (HELD, FREE):
        table.update(called_update(key, int(time.time() * 1000), 0))
    ledger.advance(HELD, ledger.cohort(HELD), Resolution(0, held_removal=5), {})
    event = {
        "event_type": "users.messages.email.Click",
        "id": "id-1",
        "time": int(DAY.timestamp()) - 60,
        "user": {"external_user_id": "someone"},
        "properties": {},
    }
    item = QuarantinedItem(json.dumps(event).encode(), "rejected", arrived=1.8e9)
    Quarantine(operator.s3, "data", "currents").put("batch", DAY, [item])
    page = PageMessage(key=FREE, seq=1, action="members", page="1", digest="d")
    operator.sqs.send_message(
        QueueUrl=operator.queues["dead-letters"],
        MessageBody=write(page),
        MessageGroupId="g",
        MessageDeduplicationId="d",
    )
    aws.calls.clear()
    return operator


@pytest.mark.parametrize("command", OPERATIONS)
def test_a_command_asks_for_what_the_failures_below_take_away(
    busy: Operator, aws: Aws, command: str
) -> None:
    status, said = busy.run(command)
    assert (status, "wrong" in said) == (0, False)
    assert set(OPERATIONS[command]) <= set(aws.calls)


@pytest.mark.parametrize(("command", "operation"), CALLS)
def test_without_a_permission_a_command_fails_and_later_succeeds(
    busy: Operator, aws: Aws, command: str, operation: str
) -> None:
    aws.deny(operation)
    status, said = busy.run(command)
    assert status == 1
    assert "AccessDenied" in complaint(said)
    assert said.splitlines()[-1].startswith("wrong  ")
    aws.heal()
    assert busy.run(command)[0] == 0


@pytest.mark.parametrize("failure", FAILURES)
def test_without_aws_a_command_says_so(
    operator: Operator, aws: Aws, failure: str
) -> None:
    aws.fail = lambda *_: FAILURES[failure]
    status, said = operator.run("status")
    assert status == 1
    assert said == f"wrong  cannot read the stack {NAME}: {failure}\n"


@pytest.mark.parametrize("command", [c for c in OPERATIONS if c != "check"])
def test_an_aws_that_goes_away_midway_is_reported(
    busy: Operator, aws: Aws, command: str
) -> None:
    aws.fail = lambda operation, _: (
        FAILURES["EndpointConnectionError"]
        if operation in OPERATIONS[command]
        else None
    )
    status, said = busy.run(command)
    assert status == 1
    assert "EndpointConnectionError" in complaint(said)


@pytest.mark.parametrize("command", ["release", "reassert"])
def test_a_cohort_that_never_synced_is_reported(
    busy: Operator, aws: Aws, command: str
) -> None:
    status, said = busy.run(f"{command} 404")
    assert status == 1
    assert complaint(said) == ("no cohort 404 is known; `cohorts` lists those that are")
    assert "SendMessage" not in aws.calls


def test_a_cohort_without_a_held_removal_has_nothing_to_release(
    busy: Operator, aws: Aws
) -> None:
    status, said = busy.run(f"release {FREE.cohort}")
    assert status == 1
    assert complaint(said) == f"no sync of cohort {FREE.cohort} waits for you"
    assert "SendMessage" not in aws.calls


@pytest.mark.parametrize("command", ["release", "reassert"])
def test_what_is_ordered_twice_is_queued_once(busy: Operator, command: str) -> None:
    for _ in range(2):
        assert busy.run(f"{command} {HELD.cohort}")[0] == 0
    answer: Any = busy.sqs.receive_message(
        QueueUrl=busy.queues["cohorts"], MaxNumberOfMessages=10
    )
    assert len(answer["Messages"]) == 1


@pytest.mark.parametrize("command", OPERATIONS)
def test_a_stack_that_is_not_there_is_reported(
    aws: Aws, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    status, said = run(capsys, f"--stack nowhere --region {REGION} {command}")
    assert status == 1
    assert complaint(said) == (
        "cannot read the stack nowhere: it is not in this region"
    )


@pytest.mark.parametrize("parameters", [{}, {"MixpanelRegion": "MARS"}])
def test_another_stack_is_no_bridge(
    aws: Aws, capsys: pytest.CaptureFixture[str], parameters: dict[str, str]
) -> None:
    template = {
        "Parameters": {
            name: {"Type": "String", "Default": value}
            for name, value in parameters.items()
        },
        "Resources": {},
    }
    boto3.client("cloudformation", REGION).create_stack(
        StackName="other", TemplateBody=json.dumps(template)
    )
    status, said = run(capsys, f"--stack other --region {REGION} status")
    assert status == 1
    assert complaint(said) == (
        "the stack other is not a bridge, or not one of this release"
    )


def test_a_resource_that_the_stack_lacks_is_named(
    aws: Aws, capsys: pytest.CaptureFixture[str]
) -> None:
    """As after a deployment that failed; moto's stack has no secrets, for one."""
    status, said = run(capsys, f"--stack {NAME} --region {REGION} check")
    assert status == 1
    assert "the stack has no WebhookSecret" in complaint(said)


@pytest.mark.parametrize("region", ["", "--region no!region"])
def test_a_region_that_is_none_is_reported(
    aws: Aws,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    region: str,
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    status, said = run(capsys, f"--stack {NAME} {region} status")
    assert status == 1
    assert "Region" in complaint(said)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"region": 1}', "\x00"])
@pytest.mark.parametrize("command", ["check", "status", "replay"])
def test_a_description_that_is_none_of_the_local_cloud_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, text: str
) -> None:
    path = tmp_path / "description.json"
    path.write_text(text)
    status, said = run(capsys, f"--description {path} {command}")
    assert status == 1
    assert complaint(said) == (f"{path} cannot be read: is `make run KEEP=1` running?")


def test_a_local_cloud_that_is_gone_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its description stays behind; nobody listens at port 1."""
    path = tmp_path / "description.json"
    description = {
        "region": REGION,
        "aws_endpoint_url": "http://127.0.0.1:1",
        "aws_access_key_id": "testing",
        "aws_secret_access_key": CANARY,
        "resources": {"CohortQueue": "http://127.0.0.1:1/cohorts.fifo"},
        "braze_url": "http://127.0.0.1:1",
        "mixpanel_url": "http://127.0.0.1:1",
    }
    path.write_text(json.dumps(description))
    status, said = run(capsys, f"--description {path} status")
    assert status == 1
    assert complaint(said) == (
        "AWS cannot be reached (EndpointConnectionError): is `make run KEEP=1` running?"
    )


def test_an_unforeseen_error_is_reported_by_its_name_and_place(
    busy: Operator, aws: Aws
) -> None:
    aws.fail = lambda operation, _: (
        ZeroDivisionError(CANARY) if operation == "GetQueueAttributes" else None
    )
    status, said = busy.run("status")
    assert status == 1
    assert complaint(said).startswith("a bug in the bridge: ZeroDivisionError at ")


@pytest.mark.parametrize(
    ("name", "content"),
    [("none.json", None), (".", None), ("r", b"\xff"), ("r", b"[" * 100_000)],
    ids=["absent", "a folder", "no text", "deep"],
)
def test_a_file_of_rules_that_cannot_be_read_is_reported(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: bytes | None,
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    status, said = run(capsys, f"rules check {path}")
    assert status == 1
    assert str(path) in complaint(said)


@pytest.mark.parametrize("command", ["", "nothing", "release", "check --date 1"])
def test_a_command_that_is_none_ends_with_its_usage(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    status, said = run(capsys, command)
    assert status == 2
    assert "Usage: bridge" in said
