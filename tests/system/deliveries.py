"""The event source mapping by hand: messages of the cohort queue as records."""

from typing import Any

from sandbox.aws_server.process import REGION
from sandbox.cloud import Cloud
from sandbox.event_sources.sqs import sqs_record


def receive(cloud: Cloud) -> list[dict[str, Any]]:
    """What is visible, as Lambda would get it; nothing is deleted."""
    answer = cloud.client("sqs").receive_message(
        QueueUrl=cloud.description["resources"]["CohortQueue"],
        MaxNumberOfMessages=10,
        MessageSystemAttributeNames=["All"],
    )
    arn = f"arn:aws:sqs:{REGION}:123456789012:cohorts.fifo"
    return [sqs_record(each, arn, REGION) for each in answer.get("Messages", ())]


def delete(cloud: Cloud, record: dict[str, Any]) -> None:
    """As Lambda does with a message that succeeded."""
    cloud.client("sqs").delete_message(
        QueueUrl=cloud.description["resources"]["CohortQueue"],
        ReceiptHandle=record["receiptHandle"],
    )
