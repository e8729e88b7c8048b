"""The event source mapping by hand: messages of the cohort queue as records."""

from typing import Any

from sandbox.cloud import Cloud


def receive(cloud: Cloud) -> list[dict[str, Any]]:
    """What is visible, as Lambda would get it; nothing is deleted."""
    answer = cloud.client("sqs").receive_message(
        QueueUrl=cloud.description["resources"]["CohortQueue"],
        MaxNumberOfMessages=10,
        MessageSystemAttributeNames=["All"],
    )
    return [
        {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": message["Attributes"],
            "messageAttributes": {},
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:cohorts.fifo",
        }
        for message in answer.get("Messages", ())
    ]


def delete(cloud: Cloud, record: dict[str, Any]) -> None:
    """What succeeded does not come again."""
    cloud.client("sqs").delete_message(
        QueueUrl=cloud.description["resources"]["CohortQueue"],
        ReceiptHandle=record["receiptHandle"],
    )
