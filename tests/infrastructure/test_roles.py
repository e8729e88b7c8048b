"""What each function may do, all of it, as one table to read.

That it is enough, and not too much, is proved by traffic: the local cloud asks each
role for each call (`tests/system/test_permissions.py`).
"""

from typing import Any

import pytest

from tests.infrastructure.resources import (
    FUNCTIONS,
    Template,
    as_list,
    function,
    meant,
    of_type,
    statements,
)

LOG = "logs:CreateLogStream logs:PutLogEvents"
SECRET = "secretsmanager:GetSecretValue"
PUT, GET, LIST = "s3:PutObject", "s3:GetObject", "s3:ListBucket"
"""Who reads objects may list them: else S3 calls an object that is gone forbidden."""

HISTORY = "arn:${AWS::Partition}:s3:::${BackfillBucket}"
STATES = "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}"

ALLOWED: dict[str, dict[str, str]] = {
    "CohortWebhook": {
        "CohortWebhookLogGroup": LOG,
        "WebhookSecret": SECRET,
        "DataBucket/pages/*": PUT,
        "DataBucket/quarantine/cohorts/*": PUT,
        "LedgerTable": "dynamodb:BatchGetItem dynamodb:Query dynamodb:UpdateItem",
        "CohortQueue": "sqs:SendMessage",
    },
    "CohortConsumer": {
        "CohortConsumerLogGroup": LOG,
        "BrazeSecret": SECRET,
        "DataBucket/pages/*": f"{GET} {PUT}",
        "DataBucket/reports/*": PUT,
        "DataBucket/quarantine/cohorts/*": PUT,
        "DataBucket": LIST,
        "LedgerTable": "dynamodb:BatchGetItem dynamodb:BatchWriteItem dynamodb:Query "
        "dynamodb:UpdateItem",
        "CohortQueue": "sqs:ChangeMessageVisibility sqs:DeleteMessage "
        "sqs:GetQueueAttributes sqs:ReceiveMessage sqs:SendMessage",
    },
    "CohortMaintenance": {
        "CohortMaintenanceLogGroup": LOG,
        "LedgerTable": "dynamodb:BatchGetItem dynamodb:Query dynamodb:UpdateItem",
        "CohortQueue": "sqs:SendMessage",
    },
    "CurrentsReceiver": {
        "CurrentsReceiverLogGroup": LOG,
        "CurrentsSecret": SECRET,
        "CurrentsStream": "kinesis:PutRecords",
        "DataBucket/quarantine/currents/*": PUT,
    },
    "CurrentsLoader": {
        "CurrentsLoaderLogGroup": LOG,
        "CurrentsBucket": LIST,
        "CurrentsBucket/*": GET,
        "CurrentsStream": "kinesis:PutRecords",
        "DataBucket/quarantine/currents/*": PUT,
        "DataBucket/progress/currents/*": f"s3:DeleteObject {GET} {PUT}",
        "DataBucket": LIST,
        HISTORY: LIST,
        f"{HISTORY}/*": GET,
        "CurrentsLoaderDeadLetterQueue": "sqs:SendMessage",
    },
    "Backfill": {
        "CurrentsLoaderFunction": "lambda:InvokeFunction",
        HISTORY: LIST,
        "DataBucket/progress/backfill/*": f"s3:AbortMultipartUpload {GET} "
        f"s3:ListMultipartUploadParts {PUT}",
        f"{STATES}:stateMachine:${{AWS::StackName}}-backfill": "states:StartExecution",
        f"{STATES}:execution:${{AWS::StackName}}-backfill/*": (
            "states:DescribeExecution states:StopExecution"
        ),
        # A call that knows no resources.
        "*": "cloudwatch:DescribeAlarms",
    },
    "CurrentsImporter": {
        "CurrentsImporterLogGroup": LOG,
        "MixpanelSecret": SECRET,
        "CurrentsStream": "kinesis:DescribeStream kinesis:DescribeStreamSummary "
        "kinesis:GetRecords kinesis:GetShardIterator kinesis:ListShards",
        "DataBucket/quarantine/currents/*": PUT,
        "DataBucket/aws/lambda/*": PUT,
        "DataBucket/rules/*": GET,
        "DataBucket": LIST,
    },
}


def allowed(template: Template, role: str) -> dict[str, set[str]]:
    """Actions by what they are allowed on."""
    found: dict[str, set[str]] = {}
    for statement in statements(template, role):
        assert set(statement) == {"Effect", "Action", "Resource"}
        assert statement["Effect"] == "Allow"
        for resource in as_list(statement["Resource"]):
            actions = as_list(statement["Action"])
            found.setdefault(meant(resource), set()).update(actions)
    return found


@pytest.mark.parametrize("name", ALLOWED)
def test_a_role_allows_this_and_nothing_else(expanded: Template, name: str) -> None:
    table = {target: set(actions.split()) for target, actions in ALLOWED[name].items()}
    assert allowed(expanded, f"{name}Role") == table


def test_no_role_allows_every_action_or_every_resource() -> None:
    for name, table in ALLOWED.items():
        for target, actions in table.items():
            assert not target.startswith("*") or name == "Backfill"
            assert "*" not in actions


OTHERS = {"BrazeWriterRole", "BackfillRole"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_has_a_role_of_its_own_and_no_managed_policy(
    expanded: Template, name: str
) -> None:
    roles = of_type(expanded, "AWS::IAM::Role")
    assert set(roles) == {f"{each}Role" for each in FUNCTIONS} | OTHERS
    assert "ManagedPolicyArns" not in roles[f"{name}Role"]
    assert meant(function(expanded, name)["Role"]) == f"{name}Role"


def test_roles_are_for_lambda_alone(expanded: Template) -> None:
    roles = of_type(expanded, "AWS::IAM::Role")
    for name in FUNCTIONS:
        role = roles[f"{name}Role"]
        assert role["AssumeRolePolicyDocument"]["Statement"] == [
            {
                "Effect": "Allow",
                "Principal": {"Service": "lambda.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ]


def test_braze_may_put_files_and_nothing_else_and_shows_its_external_id(
    expanded: Template,
) -> None:
    resource = expanded["Resources"]["BrazeWriterRole"]
    assert resource["Condition"] == "HasBrazeRole"
    (trust,) = resource["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Condition"] == {
        "StringEquals": {"sts:ExternalId": {"Ref": "BrazeExternalId"}}
    }
    assert "BrazeAccountId" in str(trust["Principal"])
    assert allowed(expanded, "BrazeWriterRole") == {
        "CurrentsBucket": {LIST, "s3:GetBucketLocation"},
        "CurrentsBucket/*": {GET, PUT},
    }


def test_there_are_no_policies_but_those_of_the_roles(expanded: Template) -> None:
    kinds = {each["Type"] for each in expanded["Resources"].values()}
    # Emulators do not know a RolePolicy, and the rehearsal deploys into one.
    assert not kinds & {"AWS::IAM::RolePolicy", "AWS::IAM::ManagedPolicy"}
    for beside in of_type(expanded, "AWS::IAM::Policy").values():
        assert [meant(role) for role in beside["Roles"]] == ["CurrentsLoaderRole"]


def test_functions_may_be_invoked_by_what_calls_them_and_nobody_else(
    expanded: Template,
) -> None:
    callers: set[tuple[Any, str]] = set()
    for permission in of_type(expanded, "AWS::Lambda::Permission").values():
        assert permission["Action"] == "lambda:InvokeFunction"
        assert permission.get("SourceArn") or permission.get("SourceAccount")
        callers.add((meant(permission["FunctionName"]), permission["Principal"]))
    assert callers == {
        ("CohortWebhookFunction", "apigateway.amazonaws.com"),
        ("CurrentsReceiverFunction", "apigateway.amazonaws.com"),
        ("CohortMaintenanceFunction", "events.amazonaws.com"),
        ("CurrentsLoaderFunction", "s3.amazonaws.com"),
    }
