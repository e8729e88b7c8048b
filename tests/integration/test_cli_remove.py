"""`bridge remove`: what stays is listed with its reason, and only a name deletes."""

import boto3
import pytest
from botocore.exceptions import ClientError

from cli.remove import STAYS
from tests.integration.operator import NAME, Aws, Operator, complaint
from tests.integration.stack import REGION


@pytest.fixture(autouse=True)
def whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """moto's stack has no bucket of Currents."""
    from cli.stack import Resources

    monkeypatch.setattr(Resources, "__missing__", lambda _, name: f"the-{name}")


def exists() -> bool:
    try:
        boto3.client("cloudformation", REGION).describe_stacks(StackName=NAME)
    except ClientError:
        return False
    return True


def test_what_stays_is_listed_and_nothing_is_changed(operator: Operator) -> None:
    operator.sqs.send_message(
        QueueUrl=operator.queues["cohorts"],
        MessageBody="x",
        MessageGroupId="g",
        MessageDeduplicationId="d",
    )
    status, said = operator.run("remove")
    assert status == 0
    for name, (why, _) in STAYS.items():
        assert f"stays  {name}: {why}" in said
    assert "1 messages that wait" in said
    assert f"remove --confirm {NAME}" in said
    assert exists()


def test_another_name_removes_nothing(operator: Operator) -> None:
    status, said = operator.run("remove --confirm another")
    assert status == 1
    assert "--confirm" in complaint(said)
    assert exists()


def test_the_name_removes_the_stack_and_the_rest_can_be_deleted(
    operator: Operator,
) -> None:
    status, said = operator.run(f"remove --confirm {NAME}")
    assert status == 0
    assert not exists()
    assert f"delete-stream --stream-name currents --region {REGION}" in said
    assert f"AWS_DEFAULT_REGION={REGION} .venv/bin/python -c" in said


def test_a_stack_that_may_not_be_deleted_is_said(operator: Operator, aws: Aws) -> None:
    aws.deny("DeleteStack")
    status, said = operator.run(f"remove --confirm {NAME}")
    assert (status, complaint(said)) == (1, "AWS denied DeleteStack: AccessDenied")
    assert exists()
