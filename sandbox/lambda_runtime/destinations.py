"""Where records of invocations go: an SQS queue or an S3 bucket, by its ARN."""

import json
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from sandbox.cloudformation.intrinsics import TemplateError


class Destinations:
    """Sends invocation records; `client` gives the AWS client of a service."""

    def __init__(self, client: Callable[[str], Any]) -> None:
        self._client = client

    def check(self, arn: str | None) -> None:
        """Raises TemplateError for a kind of destination there is no sender for."""
        if arn is not None and service(arn) not in ("s3", "sqs"):
            raise TemplateError(f"the sandbox has no destination of the kind {arn}")

    def send(self, arn: str, record: Mapping[str, Any], folder: str) -> None:
        """`folder` is where AWS puts the record within a bucket, dates excluded."""
        body = json.dumps(record)
        name = arn.rpartition(":")[2]
        if service(arn) == "s3":
            now = datetime.now(UTC)
            key = f"{folder}/{now:%Y/%m/%d}/{now:%Y-%m-%dT%H.%M.%S}-{uuid.uuid4()}"
            self._client("s3").put_object(Bucket=name, Key=key, Body=body.encode())
        else:
            sqs = self._client("sqs")
            url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
            sqs.send_message(QueueUrl=url, MessageBody=body)

    def send_event(self, arn: str, event: bytes, request_id: str, error: str) -> None:
        """To a dead-letter queue of a function, which gets the bare event."""
        sqs = self._client("sqs")
        url = sqs.get_queue_url(QueueName=arn.rpartition(":")[2])["QueueUrl"]
        attributes = {
            "RequestID": request_id,
            "ErrorCode": "200",
            "ErrorMessage": error,
        }
        sqs.send_message(
            QueueUrl=url,
            MessageBody=event.decode(),
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value[:1024]}
                for name, value in attributes.items()
            },
        )


def service(arn: str) -> str:
    """The service an ARN is of."""
    return arn.split(":")[2]


def timestamp(epoch: float) -> str:
    """The form AWS writes in invocation records: UTC with milliseconds and a Z."""
    moment = datetime.fromtimestamp(epoch, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
