"""The page store on S3 and the queue on SQS."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from bridge.aws import answering, error_code
from bridge.cohorts.accept import read_page
from bridge.cohorts.identity import Matched
from bridge.cohorts.message import CohortKey, Message, write
from bridge.errors import PermanentError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient


class S3PageStore:
    """Implements `ports.PageStore` under `pages/` of the data bucket."""

    def __init__(self, s3: "S3Client", bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    def put(self, key: CohortKey, digest: str, content: bytes) -> None:
        """See `ports.PageStore.put`."""
        with answering("page_store"):
            self._s3.put_object(
                Bucket=self._bucket, Key=_path(key, digest), Body=content
            )

    def get(self, key: CohortKey, digest: str) -> Sequence[Matched]:
        """See `ports.PageStore.get`."""
        with answering("page_store"):
            try:
                answer = self._s3.get_object(
                    Bucket=self._bucket, Key=_path(key, digest)
                )
                content = answer["Body"].read()
            except ClientError as error:
                if error_code(error) != "NoSuchKey":
                    raise
                content = None
        if content is None:
            raise PermanentError("page_expired", "the members of the page are gone")
        return read_page(content)


class SqsQueue:
    """Implements `ports.Queue`."""

    def __init__(self, sqs: "SQSClient", url: str) -> None:
        self._sqs = sqs
        self._url = url

    def send(self, message: Message) -> None:
        """See `ports.Queue.send`."""
        with answering("queue"):
            self._sqs.send_message(
                QueueUrl=self._url,
                MessageBody=write(message),
                MessageGroupId=message.key.group,
                MessageDeduplicationId=message.deduplication_id,
            )


def _path(key: CohortKey, digest: str) -> str:
    return f"pages/{key.place.replace('#', '/')}/{digest}.json"
