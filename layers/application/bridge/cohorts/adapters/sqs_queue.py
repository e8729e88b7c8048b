"""The queue of messages on an SQS FIFO queue."""

from typing import TYPE_CHECKING, override

from bridge.aws.clients import answering
from bridge.cohorts.messages import write
from bridge.cohorts.ports.queue import Queue

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

    from bridge.cohorts.cohort_messages import Message


class SqsQueue(Queue):
    """Sends each message to the FIFO group of its cohort."""

    def __init__(self, sqs: "SQSClient", url: str) -> None:
        self._sqs = sqs
        self._url = url

    @override
    def send(self, message: "Message") -> None:
        with answering("queue"):
            self._sqs.send_message(
                QueueUrl=self._url,
                MessageBody=write(message),
                MessageGroupId=message.key.group,
                MessageDeduplicationId=message.deduplication_id,
            )
