"""The event source mapping between an SQS queue and a function.

The queue keeps the order of FIFO groups, and blocks a group with a message in flight.
The mapping deletes the messages that succeeded; those that failed become visible again
when their visibility timeout ends.
"""

import base64
import json
import logging
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import batched
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sandbox.cloudformation.settings import SqsSource
from sandbox.event_sources.batch_response import CompleteFailure, failed_identifiers
from sandbox.lambda_runtime.invocation import (
    SYNCHRONOUS_PAYLOAD_LIMIT,
    Invocation,
    Invoke,
    Throttled,
)

_logger = logging.getLogger(__name__)
_ENVELOPE = len(b'{"Records": []}')


class SqsMapping:
    """Polls one queue and invokes one function, up to `concurrency` batches at once.

    `long_poll` is how many seconds a receive waits, and so how long a stop may take.
    `redelivery` is how many seconds after an invocation failed as a whole its messages
    become visible again; None leaves that to the visibility timeout, as AWS does.
    """

    def __init__(
        self,
        source: SqsSource,
        client: Any,
        invoke: Invoke,
        concurrency: int = 2,
        long_poll: int = 1,
        redelivery: int | None = None,
    ) -> None:
        self._source = source
        self._client = client
        self._invoke = invoke
        self._long_poll = long_poll
        self._redelivery = redelivery
        arn = source.queue_arn.split(":")
        self._region = arn[3]
        self._fifo = arn[5].endswith(".fifo")
        self._url = client.get_queue_url(QueueName=arn[5])["QueueUrl"]
        self._visibility = int(self._attributes("VisibilityTimeout")[0])
        places = min(concurrency, source.maximum_concurrency or concurrency)
        self._places = threading.BoundedSemaphore(places)
        self._workers = ThreadPoolExecutor(places, "sqs-mapping")
        self._stopping = threading.Event()
        self._poller = threading.Thread(target=self._poll, daemon=True)

    def start(self) -> None:
        self._poller.start()

    def stop(self) -> None:
        """Return when nothing polls any more; batches under way must end first."""
        self._stopping.set()
        self._poller.join()
        self._workers.shutdown()

    def idle(self) -> bool:
        """Whether the queue is empty: nothing visible, delayed or in flight."""
        counts = self._attributes(
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        )
        return not any(map(int, counts))

    def _attributes(self, *names: str) -> list[str]:
        answer = self._client.get_queue_attributes(
            QueueUrl=self._url, AttributeNames=list(names)
        )
        return [answer["Attributes"][name] for name in names]

    def _poll(self) -> None:
        while not self._stopping.is_set():
            if not self._places.acquire(timeout=0.2):
                continue
            try:
                messages = self._gather()
            except (BotoCoreError, ClientError):
                messages = []
                if not self._stopping.wait(0.5):
                    _logger.warning("cannot poll %s", self._url, exc_info=True)
            if messages:
                delivery = self._workers.submit(self._deliver, messages)
                delivery.add_done_callback(_log_error)
            else:
                self._places.release()
                self._stopping.wait(0 if self._long_poll else 0.02)

    def _gather(self) -> list[dict[str, Any]]:
        """One batch: as many as fit, or what came within the batching window."""
        messages = self._receive(self._source.batch_size, self._long_poll)
        until = time.monotonic() + self._source.window
        while messages and len(messages) < self._source.batch_size:
            if time.monotonic() >= until or self._stopping.wait(0.05):
                break
            messages += self._receive(self._source.batch_size - len(messages), 0)
        return messages

    def _receive(self, count: int, wait: int) -> list[dict[str, Any]]:
        answer = self._client.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=min(count, 10),
            WaitTimeSeconds=wait,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        return list(answer.get("Messages", ()))

    def _deliver(self, messages: Sequence[Mapping[str, Any]]) -> None:
        try:
            for event, part in self._events(messages):
                # What follows a failure in a FIFO batch may belong to its group.
                if not self._deliver_part(event, part) and self._fifo:
                    return
        except (BotoCoreError, ClientError):
            if not self._stopping.is_set():
                _logger.warning("cannot delete from %s", self._url, exc_info=True)
        finally:
            self._places.release()

    def _deliver_part(self, event: bytes, part: Sequence[Mapping[str, Any]]) -> bool:
        """Delete the messages that succeeded; whether all did."""
        handles = {message["MessageId"]: message["ReceiptHandle"] for message in part}
        try:
            failed = failed_identifiers(
                self._invoked(event), handles, reports=self._source.report_failures
            )
        except (CompleteFailure, Throttled):
            self._end_visibility(handles.values())
            return False
        succeeded = [handle for name, handle in handles.items() if name not in failed]
        for some in batched(succeeded, 10, strict=False):
            entries = [
                {"Id": str(index), "ReceiptHandle": handle}
                for index, handle in enumerate(some)
            ]
            self._client.delete_message_batch(QueueUrl=self._url, Entries=entries)
        return not failed

    def _end_visibility(self, handles: Iterable[str]) -> None:
        if self._redelivery is None:
            return
        entries = [
            {
                "Id": str(index),
                "ReceiptHandle": handle,
                "VisibilityTimeout": self._redelivery,
            }
            for index, handle in enumerate(handles)
        ]
        for some in batched(entries, 10, strict=False):
            self._client.change_message_visibility_batch(
                QueueUrl=self._url, Entries=list(some)
            )

    def _invoked(self, event: bytes) -> Invocation:
        """Invoke; while throttled, retry until the messages become visible again."""
        until = time.monotonic() + self._visibility
        while True:
            try:
                return self._invoke(event)
            except Throttled:
                if self._stopping.wait(0.2) or time.monotonic() >= until:
                    raise

    def _events(
        self, messages: Sequence[Mapping[str, Any]]
    ) -> Iterator[tuple[bytes, list[Mapping[str, Any]]]]:
        """Events of at most 6 MB, in order."""
        part: list[Mapping[str, Any]] = []
        records: list[str] = []
        size = _ENVELOPE
        for message in messages:
            record = json.dumps(
                sqs_record(message, self._source.queue_arn, self._region)
            )
            if part and size + len(record) + 2 > SYNCHRONOUS_PAYLOAD_LIMIT:
                yield _event(records), part
                part, records, size = [], [], _ENVELOPE
            part.append(message)
            records.append(record)
            size += len(record) + 2
        yield _event(records), part


def sqs_record(
    message: Mapping[str, Any], queue_arn: str, region: str
) -> dict[str, Any]:
    """A message as `ReceiveMessage` gives it → the record that a function gets."""
    record = {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": {
            name: _message_attribute(value)
            for name, value in message.get("MessageAttributes", {}).items()
        },
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": region,
    }
    if "MD5OfMessageAttributes" in message:
        record["md5OfMessageAttributes"] = message["MD5OfMessageAttributes"]
    return record


def _log_error(delivery: Future[None]) -> None:
    """A bug of the mapping itself must not vanish with its thread."""
    if error := delivery.exception():
        _logger.error("a batch was not delivered", exc_info=error)


def _event(records: Sequence[str]) -> bytes:
    return f'{{"Records": [{", ".join(records)}]}}'.encode()


def _message_attribute(value: Mapping[str, Any]) -> dict[str, Any]:
    attribute: dict[str, Any] = {}
    if "StringValue" in value:
        attribute["stringValue"] = value["StringValue"]
    if "BinaryValue" in value:
        attribute["binaryValue"] = base64.b64encode(value["BinaryValue"]).decode()
    return attribute | {
        "stringListValues": [],
        "binaryListValues": [],
        "dataType": value["DataType"],
    }
