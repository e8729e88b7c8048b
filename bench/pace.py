"""A first sync through the built consumer, beside a script that only pushes.

The consumer runs in a process of its own, from what `make build` left. Braze answers
after 200 ms and the ledger after 10 ms, each in a process of its own (`slow_servers`);
S3 and SQS are the sandbox's. The bare pusher posts the same bodies over as many
connections, and keeps nothing. Wall time here is the point, and only its ratio within
one run says anything.
"""

import gc
import io
import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stdout
from http.client import HTTPConnection
from itertools import batched
from queue import SimpleQueue
from typing import Any

import boto3
from rich.table import Table

from bench.built import use
from bench.cohorts import COHORT, _create, _postback, _received, aws_server
from bench.feed import Context
from bench.lambda_process import built_functions
from bench.memory_aws import ENVIRONMENT
from bench.processes import module
from bench.slow_servers import SlowServer
from bridge.braze.users_track import OBJECTS_PER_CALL

MEMBERS = 100_000
PAGE = 1_000
CALLS_AT_A_TIME = 16
HOURLY_CALLS = 250_000


def run(*, full: bool) -> Iterator[Table]:
    """One table; `full` adds a rescan of a million members."""
    routes = {
        route: module("bench.pace", route, MEMBERS).answer
        for route in ("attribute", "partner")
    }
    table = Table(title=f"First sync of {MEMBERS:,} members", title_justify="left")
    table.add_column("")
    for route in routes:
        table.add_column(f"{route} route", justify="right")
    for name in routes["attribute"]:
        table.add_row(name, *(found[name] for found in routes.values()))
    yield table
    members = 1_000_000 if full else MEMBERS
    rescan = module("bench.pace", "rescan", members).answer
    table = Table(title=f"Rescan of {members:,} members", title_justify="left")
    table.add_column("")
    table.add_column("1 % differ", justify="right")
    for name, value in rescan.items():
        table.add_row(name, value)
    yield table


class Consumer:
    """The built functions, and the servers behind them."""

    def __init__(
        self, route: str, endpoint: str, braze: SlowServer, ledger: SlowServer
    ) -> None:
        os.environ.update(ENVIRONMENT | {"AWS_ENDPOINT_URL": endpoint})
        _create(endpoint)
        functions = built_functions(endpoint)
        for name in ("CohortWebhookFunction", "CohortConsumerFunction"):
            os.environ.update(functions[name].environment)
        os.environ.update(
            BRAZE_REST_ENDPOINT=braze.url,
            COHORT_ROUTE=route,
            BRAZE_CALLS_AT_A_TIME=str(CALLS_AT_A_TIME),
            AWS_ENDPOINT_URL_DYNAMODB=ledger.url,
        )
        secrets = boto3.client("secretsmanager")
        found = secrets.get_secret_value(SecretId=os.environ["WEBHOOK_SECRET_ARN"])
        self._password = json.loads(found["SecretString"])["password"]
        keys = {"partner_api_key": "bench-key", "data_import_key": "bench-import"}
        keys |= {"rest_api_key": "bench-rest-key"}
        secrets.put_secret_value(
            SecretId=os.environ["BRAZE_SECRET_ARN"], SecretString=json.dumps(keys)
        )
        self._sqs = boto3.client("sqs")
        use("CohortWebhookFunction")
        # Only now, for settings and clients are made once.
        from functions.cohort_consumer import app as consumer  # noqa: PLC0415
        from functions.cohort_webhook import app as webhook  # noqa: PLC0415

        self._webhook, self._consumer = webhook.handler, consumer.handler

    def accept(self, session: str, action: str, members: range, pages: int) -> None:
        """Send all pages of a sync."""
        for number, page in enumerate(batched(members, PAGE, strict=False), 1):
            event = _postback(self._password, COHORT, action, 0)
            body = json.loads(event["body"])
            body["parameters"] |= {
                "mixpanel_session_id": session,
                "page_info": {"total_pages": pages, "page_count": number},
                "members": [{"mixpanel_distinct_id": f"cust-{n:07d}"} for n in page],
            }
            answer = self._webhook(event | {"body": json.dumps(body)}, Context())
            if answer["statusCode"] != 200:
                raise SystemExit(f"a page was not taken: {answer}")

    def drain(self) -> tuple[float, float]:
        """Invoke the consumer until the queue is empty; its wall and CPU seconds."""
        wall = cpu = 0.0
        while (event := _received(self._sqs, os.environ["COHORT_QUEUE_URL"]))[
            "Records"
        ]:
            began, used = time.perf_counter(), time.process_time()
            answer = self._consumer(event, Context())
            wall += time.perf_counter() - began
            cpu += time.process_time() - used
            if answer["batchItemFailures"]:
                raise SystemExit(f"messages were not taken: {answer}")
        return wall, cpu


def bare_pusher(route: str, braze: SlowServer, members: int) -> float:
    """Post the bodies of a first sync over the same number of connections; seconds."""
    people = [f"cust-{n:07d}" for n in range(members)]
    at_a_time = CALLS_AT_A_TIME if route == "attribute" else 1
    bodies = [*_bodies(route, people)]
    path = (
        "/users/track" if route == "attribute" else "/partners/mixpanel/cohorts/users"
    )
    idle: SimpleQueue[HTTPConnection] = SimpleQueue()
    for _ in range(at_a_time):
        idle.put(HTTPConnection("127.0.0.1", braze.port))

    def post(body: object) -> None:
        connection = idle.get()
        headers = {"Content-Type": "application/json", "Authorization": "Bearer x"}
        connection.request("POST", path, json.dumps(body), headers)
        connection.getresponse().read()
        idle.put(connection)

    began = time.perf_counter()
    with ThreadPoolExecutor(at_a_time) as threads:
        for done in [threads.submit(post, body) for body in bodies]:
            done.result()
    return time.perf_counter() - began


def _bodies(route: str, people: list[str]) -> Iterator[object]:
    if route == "partner":
        for page in batched(people, PAGE, strict=False):
            changes = [{"user_ids": [*page], "should_remove": False}]
            yield {"cohort_id": COHORT, "cohort_changes": changes}
        return
    for page in batched(people, OBJECTS_PER_CALL, strict=False):
        yield {
            "attributes": [
                {
                    "mixpanel_cohorts": {"add": [f"mixpanel_{COHORT}"]},
                    "external_id": person,
                    "_update_existing_only": True,
                }
                for person in page
            ]
        }


@contextmanager
def _servers() -> Iterator[tuple[str, SlowServer, SlowServer]]:
    """The address of AWS, Braze, and the ledger."""
    with (
        aws_server() as aws,
        SlowServer("braze") as braze,
        SlowServer("ledger", aws) as ledger,
    ):
        yield aws, braze, ledger


def _peak_memory() -> str:
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}"


def first_sync(route: str, members: int) -> dict[str, str]:
    """The figures of the consumer and of the bare pusher."""
    with _servers() as (aws, braze, ledger):
        consumer = Consumer(route, aws, braze, ledger)
        consumer.accept("s1", "members", range(members), members // PAGE)
        braze.counts(), ledger.counts()
        gc.collect()
        wall, cpu = consumer.drain()
        pushed, written = braze.counts(), ledger.counts()
        if pushed["items"] != members:
            raise SystemExit(f"{pushed['items']} of {members} members were pushed")
        bare = bare_pusher(route, braze, members)
    million = wall * 1e6 / members
    allowed = pushed["calls"] * 1e6 / members / HOURLY_CALLS * 3600
    return {
        "wall s": f"{wall:.1f}",
        "bare pusher, wall s": f"{bare:.1f}",
        "ratio": f"{wall / bare:.2f}",
        "calls of Braze": f"{pushed['calls']:,}",
        "calls at a time": f"{pushed['most']}",
        "calls of the ledger": f"{written['calls']:,}",
        "members a second": f"{members / wall:,.0f}",
        "CPU ms a member": f"{cpu / members * 1e3:.3f}",
        "1,000,000, minutes": f"{million / 60:.1f}",
        "  at 250,000 calls an hour": f"{max(million, allowed) / 60:.1f}",
        "peak memory MiB": _peak_memory(),
    }


def rescan(members: int) -> dict[str, str]:
    """A full sync that one in a hundred is missing from: its rescan alone."""
    with _servers() as (aws, braze, ledger):
        os.environ["WRITE_GAP_SECONDS"] = "0"
        consumer = Consumer("attribute", aws, braze, ledger)
        consumer.accept("s1", "members", range(members), members // PAGE)
        consumer.drain()
        staying = members - members // 100
        consumer.accept("s2", "members", range(staying), -(-staying // PAGE))
        braze.counts()
        wall, cpu = consumer.drain()
        pushed = braze.counts()
    return {
        "wall s, pages and rescan": f"{wall:.1f}",
        "CPU ms a member": f"{cpu / members * 1e3:.3f}",
        "calls of Braze": f"{pushed['calls']:,}",
        "peak memory MiB": _peak_memory(),
    }


def main() -> None:
    """Print the figures of one route, or of a rescan."""
    kind, members = sys.argv[1], int(sys.argv[2])
    with redirect_stdout(io.StringIO()):
        found: Any = rescan(members) if kind == "rescan" else first_sync(kind, members)
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
