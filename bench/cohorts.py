"""A page of 1,000 members through webhook and consumer: calls, and our CPU.

The functions run in a process of their own with real AWS clients. DynamoDB, S3, SQS and
Secrets Manager are moto in another process and Braze is the sink in a third, so that
neither's CPU counts; botocore's does. `at least` is what the vendors' limits allow at
the best, for the members' reads, one write of each, the record of the push, and Braze.
"""

import base64
import io
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from math import ceil
from typing import Any

import boto3
from botocore.handlers import BUILTIN_HANDLERS
from rich.table import Table

from bench.built import BUILD
from bench.feed import Context
from bench.lambda_process import PARAMETERS, REGION, built_functions
from bench.memory_aws import ENVIRONMENT
from bench.processes import module
from bench.sink import SECRETS, Sink
from bridge.aws.dynamodb import READ_ITEMS, WRITE_ITEMS
from bridge.braze.users_track import OBJECTS_PER_CALL
from bridge.mixpanel.cohort_webhook import MEMBERS_PER_CALL
from sandbox.cloudformation import resources
from sandbox.cloudformation.template import Template
from sandbox.event_sources.sqs import sqs_record

MEMBERS = MEMBERS_PER_CALL
LEAVING = 100
COHORT = "8120045"


def run(*, full: bool) -> Iterator[Table]:
    """One table; `full` changes nothing, for calls are exact."""
    del full
    found = module("bench.cohorts").answer
    table = Table(title=f"Cohort page of {MEMBERS:,} members", title_justify="left")
    table.add_column("step")
    table.add_column("calls")
    table.add_column("at least")
    table.add_column("CPU ms", justify="right")
    for row in found:
        table.add_row(*row)
    yield table


class Calls:
    """Counts the calls of this process's AWS clients, by operation."""

    def __init__(self) -> None:
        self.made: Counter[str] = Counter()

    def install(self) -> None:
        """For every client that is made from now on."""
        BUILTIN_HANDLERS.append(("before-send", self._count))

    def _count(self, event_name: str, **_: Any) -> None:
        self.made[event_name.rpartition(".")[2]] += 1

    def taken(self) -> Counter[str]:
        """The calls since the last time; the counts begin anew."""
        made = self.made.copy()
        self.made.clear()
        return made


@contextmanager
def aws_server() -> Iterator[str]:
    """The sandbox's AWS server, and its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox.aws_server", "0"], stdout=subprocess.PIPE
    )
    if process.stdout is None:
        raise AssertionError("stdout is a pipe")
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.communicate()


def _create(endpoint: str) -> None:
    def client(service: str) -> Any:
        return boto3.client(service, endpoint_url=endpoint)

    values = {
        "BrazeSecret": json.dumps(SECRETS["braze"]),
        "MixpanelSecret": json.dumps(SECRETS["mixpanel"]),
    }
    template = Template(BUILD, PARAMETERS, REGION, endpoint)
    resources.create(template, client, values)


def _postback(password: str, cohort: str, action: str, members: int) -> dict[str, Any]:
    body = {
        "action": action,
        "parameters": {
            "mixpanel_project_id": "3187765",
            "mixpanel_cohort_id": cohort,
            "mixpanel_cohort_name": "Trial, day 10",
            "mixpanel_session_id": f"{cohort}-{time.monotonic_ns()}",
            "page_info": {"total_pages": 1, "page_count": 1},
            "members": [
                {
                    "mixpanel_distinct_id": f"cust-{n:07d}",
                    "email": f"person{n}@example.com",
                    "first_name": "Anna",
                    "last_name": "Example",
                }
                for n in range(members)
            ],
        },
    }
    credentials = base64.b64encode(f"mixpanel:{password}".encode()).decode()
    return {
        "headers": {"authorization": f"Basic {credentials}"},
        "requestContext": {"requestId": "bench", "timeEpoch": time.time_ns() // 10**6},
        "body": json.dumps(body),
        "isBase64Encoded": False,
    }


def _received(sqs: Any, url: str) -> dict[str, Any]:
    answer = sqs.receive_message(
        QueueUrl=url,
        MaxNumberOfMessages=10,
        MessageSystemAttributeNames=["All"],
    )
    records: list[dict[str, Any]] = []
    for message in answer.get("Messages", ()):
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        arn = f"arn:aws:sqs:{REGION}:123456789012:cohorts.fifo"
        records.append(sqs_record(message, arn, REGION))
    return {"Records": records}


class Page:
    """Sends pages through both functions, once they are warm."""

    def __init__(self, sink: Sink, endpoint: str) -> None:
        os.environ.update(ENVIRONMENT | {"AWS_ENDPOINT_URL": endpoint})
        self._calls = Calls()
        self._calls.install()
        _create(endpoint)
        functions = built_functions(endpoint)
        for name in ("CohortWebhookFunction", "CohortConsumerFunction"):
            os.environ.update(functions[name].environment)
        os.environ["BRAZE_REST_ENDPOINT"] = sink.url
        secret = boto3.client("secretsmanager").get_secret_value(
            SecretId=os.environ["WEBHOOK_SECRET_ARN"]
        )
        self._password = json.loads(secret["SecretString"])["password"]
        self._sqs = boto3.client("sqs")
        self._sink = sink
        # Only now, for settings and clients are made once.
        from functions.cohort_consumer import app as consumer  # noqa: PLC0415
        from functions.cohort_webhook import app as webhook  # noqa: PLC0415

        self._webhook, self._consumer = webhook.handler, consumer.handler
        self.through("warm", "members", 1)

    def through(
        self, cohort: str, action: str, members: int
    ) -> dict[str, tuple[Counter[str], float]]:
        """Calls and CPU seconds of the webhook, the consumer and its rescan."""
        event = _postback(self._password, cohort, action, members)
        found = {
            "webhook": self._measured(self._webhook, event),
            "consumer": self._measured(self._consumer, self._received()),
        }
        if (waiting := self._received())["Records"]:
            found["rescan"] = self._measured(self._consumer, waiting)
        return found

    def _received(self) -> dict[str, Any]:
        return _received(self._sqs, os.environ["COHORT_QUEUE_URL"])

    def _measured(
        self, handler: Callable[[Any, Any], Any], event: dict[str, Any]
    ) -> tuple[Counter[str], float]:
        context = Context()
        self._calls.taken()  # ours, to hand over the message
        began = time.process_time()
        answer = handler(event, context)
        seconds = time.process_time() - began
        if answer.get("statusCode", 200) != 200 or answer.get("batchItemFailures"):
            raise SystemExit(f"a page was not taken: {answer}")
        calls = self._calls.taken()
        if sent := self._sink.counts()["track calls"]:
            calls["users/track"] = sent
        return calls, seconds


def _least(members: int, pushed: int) -> dict[str, int]:
    """The calls that the consumer needs at least."""
    writes = ceil(members / WRITE_ITEMS) + (2 if pushed else 0)
    least = {"BatchGetItem": ceil(members / READ_ITEMS), "BatchWriteItem": writes}
    if pushed:
        least["users/track"] = ceil(pushed / OBJECTS_PER_CALL)
    return least


def _text(counts: Mapping[str, int]) -> str:
    return "\n".join(f"{counts[name]:>3} {name}" for name in sorted(counts))


def _steps(page: Page) -> Iterator[tuple[str, ...]]:
    for step, action, members, pushed in (
        ("first sync", "members", MEMBERS, MEMBERS),
        ("the same members again", "members", MEMBERS, 0),
        (f"{LEAVING} leave", "remove_members", LEAVING, LEAVING),
    ):
        for name, (calls, seconds) in page.through(COHORT, action, members).items():
            least = _least(members, pushed) if name == "consumer" else {}
            milliseconds = f"{seconds * 1e3:.0f}"
            yield f"{step}: {name}", _text(calls), _text(least), milliseconds


def main() -> None:
    """Run every step and print the rows of the table."""
    log = io.StringIO()
    with redirect_stdout(log), Sink() as sink, aws_server() as endpoint:
        rows = list(_steps(Page(sink, endpoint)))
    sys.stdout.write(json.dumps(rows) + "\n")


if __name__ == "__main__":
    main()
