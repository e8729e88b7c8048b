"""S3 event notifications: from an object's creation to an asynchronous invocation.

The AWS server reports every change of a bucket to a queue of the sandbox. From there
each is passed on to the functions whose filters it matches, in the form that S3 has.
"""

import json
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote_plus, unquote_plus

from botocore.exceptions import BotoCoreError, ClientError

from sandbox.cloudformation.settings import ObjectSource

_logger = logging.getLogger(__name__)
QUEUE_NAME = "sandbox-object-notifications"


class ObjectNotifications:
    """Watches buckets and submits events; `submit` is by logical id of the function."""

    def __init__(
        self,
        sources: Sequence[ObjectSource],
        client: Callable[[str], Any],
        submit: Mapping[str, Callable[[bytes], object]],
    ) -> None:
        self._sources = sources
        self._submit = submit
        self._sqs = client("sqs")
        self._url = self._sqs.create_queue(QueueName=QUEUE_NAME)["QueueUrl"]
        self._stopping = threading.Event()
        self._poller = threading.Thread(target=self._poll, daemon=True)
        arn = self._sqs.get_queue_attributes(
            QueueUrl=self._url, AttributeNames=["QueueArn"]
        )["Attributes"]["QueueArn"]
        for bucket in {source.bucket for source in sources}:
            client("s3").put_bucket_notification_configuration(
                Bucket=bucket,
                NotificationConfiguration={
                    "QueueConfigurations": [
                        {
                            "QueueArn": arn,
                            "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"],
                        }
                    ]
                },
            )

    def start(self) -> None:
        self._poller.start()

    def stop(self) -> None:
        self._stopping.set()
        self._poller.join()

    def idle(self) -> bool:
        names = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
        ]
        counts = self._sqs.get_queue_attributes(
            QueueUrl=self._url, AttributeNames=names
        )["Attributes"]
        return not any(int(counts[name]) for name in names)

    def _poll(self) -> None:
        while not self._stopping.is_set():
            try:
                answer = self._sqs.receive_message(
                    QueueUrl=self._url, MaxNumberOfMessages=10, WaitTimeSeconds=1
                )
                for message in answer.get("Messages", ()):
                    self._notify(json.loads(message["Body"]))
                    self._sqs.delete_message(
                        QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"]
                    )
            except (BotoCoreError, ClientError):
                if not self._stopping.wait(0.5):
                    _logger.warning("cannot read notifications", exc_info=True)

    def _notify(self, body: Mapping[str, Any]) -> None:
        for change in body.get("Records", ()):
            for source in self._sources:
                if matches(source, change):
                    event = {"Records": [complete(change)]}
                    self._submit[source.function](json.dumps(event).encode())


def matches(source: ObjectSource, change: Mapping[str, Any]) -> bool:
    """Whether the notification is meant for the source; filters see the plain key."""
    if change["s3"]["bucket"]["name"] != source.bucket:
        return False
    name = f"s3:{change['eventName']}"
    kind = name.rpartition(":")[0] + ":*"
    if name not in source.events and kind not in source.events:
        return False
    key = unquote_plus(change["s3"]["object"]["key"])
    tests = {"prefix": key.startswith, "suffix": key.endswith}
    return all(tests[rule](value) for rule, value in source.filters)


def complete(change: Mapping[str, Any]) -> dict[str, Any]:
    """The record as S3 writes it: moto leaves fields out and encodes the slashes."""
    key = quote_plus(unquote_plus(change["s3"]["object"]["key"]), safe="/")
    bucket = {"ownerIdentity": {"principalId": "SANDBOX"}, **change["s3"]["bucket"]}
    sequencer = f"{abs(hash(change['eventTime'])):016X}"[:16]
    return {
        **change,
        "userIdentity": {"principalId": "AWS:SANDBOX"},
        "requestParameters": {"sourceIPAddress": "127.0.0.1"},
        "responseElements": {"x-amz-request-id": sequencer, "x-amz-id-2": sequencer},
        "s3": {
            **change["s3"],
            "bucket": bucket,
            "object": {**change["s3"]["object"], "key": key, "sequencer": sequencer},
        },
    }
