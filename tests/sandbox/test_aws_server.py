"""The AWS server answers one request at a time."""

import io
import threading
import time
from collections.abc import Iterable
from typing import Any

from sandbox.aws_server import one_at_a_time
from sandbox.cloud import Cloud


def test_requests_do_not_run_beside_each_other() -> None:
    """Amazon DynamoDB Developer Guide, "DynamoDB expression examples", conditional
    writes (Expressions.ConditionExpressions): a check and its write are one. moto alone
    runs them in threads."""
    running: list[int] = []
    most: list[int] = []

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        running.append(1)
        most.append(len(running))
        time.sleep(0.01)
        running.pop()
        return [environ["wsgi.input"].read()]

    answers: list[bytes] = []
    answer = one_at_a_time(application)

    def request(body: bytes) -> None:
        environ = {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        answers.extend(answer(environ, None))

    threads = [threading.Thread(target=request, args=(b"%d" % n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert sorted(answers) == [b"%d" % n for n in range(8)]


def test_a_long_poll_lets_other_requests_pass(cloud: Cloud, unique: str) -> None:
    """Amazon SQS Developer Guide, "Amazon SQS short and long polling"
    (sqs-short-and-long-polling)."""
    sqs = cloud.client("sqs")
    url = sqs.create_queue(QueueName=unique)["QueueUrl"]
    received: list[Any] = []

    def poll() -> None:
        answer = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=10)
        received.extend(answer["Messages"])

    poller = threading.Thread(target=poll)
    began = time.monotonic()
    poller.start()
    time.sleep(0.2)
    sqs.send_message(QueueUrl=url, MessageBody="x")
    poller.join()
    assert [message["Body"] for message in received] == ["x"]
    assert time.monotonic() - began < 5
