"""Queues of one test's own, and a mapping that polls them with short waits."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from sandbox.cloudformation.settings import SqsSource
from sandbox.event_sources.sqs import SqsMapping
from sandbox.lambda_runtime.invocation import Invoke


class Queue:
    """A queue of one test."""

    def __init__(self, client: Any, name: str, **attributes: str) -> None:
        self.client = client
        self.url = client.create_queue(QueueName=name, Attributes=attributes)[
            "QueueUrl"
        ]
        self.source = SqsSource("Worker", self.attribute("QueueArn"))

    def attribute(self, name: str) -> str:
        answer = self.client.get_queue_attributes(
            QueueUrl=self.url, AttributeNames=[name]
        )
        return str(answer["Attributes"][name])

    def send(self, *bodies: str, group: str | None = None) -> None:
        for body in bodies:
            fifo = {} if group is None else {"MessageGroupId": group}
            if group is not None:
                fifo["MessageDeduplicationId"] = f"{group}-{body}"
            self.client.send_message(QueueUrl=self.url, MessageBody=body, **fifo)

    def receive(self) -> list[Any]:
        answer = self.client.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=10, AttributeNames=["All"]
        )
        return list(answer.get("Messages", ()))

    def left(self) -> int:
        return sum(
            int(self.attribute(name))
            for name in (
                "ApproximateNumberOfMessages",
                "ApproximateNumberOfMessagesNotVisible",
            )
        )


type MakeQueue = Callable[..., Queue]


@contextlib.contextmanager
def mapped(
    queue: Queue,
    invoke: Invoke,
    concurrency: int = 2,
    redelivery: int | None = None,
    **settings: Any,
) -> Iterator[SqsMapping]:
    source = replace(queue.source, **{"report_failures": True, **settings})
    mapping = SqsMapping(
        source, queue.client, invoke, concurrency, long_poll=0, redelivery=redelivery
    )
    mapping.start()
    try:
        yield mapping
    finally:
        mapping.stop()


def bodies(event: dict[str, Any]) -> list[str]:
    return [record["body"] for record in event["Records"]]


def failing(*names: str) -> Callable[[dict[str, Any]], Any]:
    """A handler that reports the messages with these bodies as failed."""

    def rule(event: dict[str, Any]) -> Any:
        return {
            "batchItemFailures": [
                {"itemIdentifier": record["messageId"]}
                for record in event["Records"]
                if record["body"] in names
            ]
        }

    return rule
