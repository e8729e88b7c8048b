"""Remove a deployed stack; what it holds stays, and each thing says why."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import WaiterError

from cli.stack import RunningStack, StackError

WAIT = {"Delay": 5, "MaxAttempts": 360}
"""Half an hour; a stack takes some minutes."""

_SECRET = "aws secretsmanager delete-secret --secret-id {}"  # noqa: S105
_TABLE = "aws dynamodb delete-table --table-name {}"
_STREAM = "aws kinesis delete-stream --stream-name {}"
_BUCKET = (
    ".venv/bin/python -c 'import boto3, sys; "
    'b = boto3.resource("s3").Bucket(sys.argv[1]); '
    "b.object_versions.delete(); b.delete()' {}"
)

STAYS: dict[str, tuple[str, str]] = {
    "LedgerTable": (
        "who is in which cohort at Braze: without it nobody can be taken out again",
        _TABLE,
    ),
    "DataBucket": ("your rules, and what is in the quarantine", _BUCKET),
    "CurrentsBucket": ("Braze's files of the last 30 days", _BUCKET),
    "CurrentsStream": (
        "events that Mixpanel does not have yet; costs by the hour until it is deleted",
        _STREAM,
    ),
    "WebhookSecret": ("the password that Mixpanel was given", _SECRET),
    "CurrentsSecret": ("the token that Braze was given", _SECRET),
    "BrazeSecret": ("Braze's key, which Braze shows once", _SECRET),
    "MixpanelSecret": ("Mixpanel's login, and the key of hashed properties", _SECRET),
}
"""Logical ids of what outlives the stack, why, and the command that deletes it."""


@dataclass(frozen=True)
class Staying:
    """One resource that stays."""

    logical_id: str
    physical_id: str
    why: str
    delete: str


def staying(stack: RunningStack) -> Iterator[Staying]:
    """All that stays when the stack is removed."""
    region = stack.aws.get("region_name")
    for name, (why, command) in STAYS.items():
        physical = stack.resources[name]
        delete = command.format(shlex.quote(physical))
        if region:
            at = f"AWS_DEFAULT_REGION={region} " if command is _BUCKET else ""
            delete = at + delete + ("" if at else f" --region {region}")
        yield Staying(name, physical, why, delete)


def waiting_messages(stack: RunningStack) -> int:
    """Messages that would be deleted with their queue."""
    sqs: Any = stack.client("sqs")
    counts = (
        sqs.get_queue_attributes(
            QueueUrl=stack.resources[name],
            AttributeNames=[
                "ApproximateNumberOfMessages",
                "ApproximateNumberOfMessagesNotVisible",
            ],
        )["Attributes"]
        for name in ("CohortQueue", "CohortDeadLetterQueue")
    )
    return sum(int(number) for each in counts for number in each.values())


def remove(stack: RunningStack, name: str) -> None:
    """Delete the stack and wait until it is gone; raises `StackError`."""
    formation: Any = stack.client("cloudformation")
    formation.delete_stack(StackName=name)
    try:
        formation.get_waiter("stack_delete_complete").wait(
            StackName=name, WaiterConfig=WAIT
        )
    except WaiterError:
        raise StackError(
            f"{name} is not gone; CloudFormation's events say what is in its way. "
            "The same command goes on."
        ) from None
