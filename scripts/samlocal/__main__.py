"""Every file of `events/` through `sam local invoke`, the routes through `start-api`.

Answers are compared, and what came of them at the far ends: the queue, the stream, the
quarantine, Braze and Mixpanel. 0 if all is right, 1 if not, 2 where it cannot run.
"""

import asyncio
import ipaddress
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import requests

from bridge.currents.decode.record import decode
from sandbox.cloud import Cloud
from scripts.samlocal.host_ports import carry
from scripts.samlocal.project import BUILD, EVENTS, Project

NONE_FAILED: dict[str, Any] = {"batchItemFailures": []}
COHORT = ("mixpanel_cohorts", "mixpanel_8120045")
DEVICE = "0f6a1c1e-7d0a-4f2b-9d53-2b1c7a9e4d10"
NO_ENGINE = (
    "no container engine answers: `docker info` says why. sam local runs functions in "
    "Lambda's image and needs one, such as Docker Desktop, colima or docker.io; "
    "`make run` and `make test` do without"
)


def sample(name: str) -> dict[str, Any]:
    """A file of `events/`."""
    found: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return found


class FarEnds:
    """What is new in the queue and the stream, and what is where else."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud, self._names = cloud, cloud.description["resources"]
        self._streamed = 0

    def prepare(self) -> None:
        """Give the local cloud what the samples suppose: keys, people and a file."""
        secrets = self._cloud.client("secretsmanager")
        for name, value in {
            "WebhookSecret": {
                "username": "mixpanel",
                "password": "example-password",
                "partner_api_keys": ["example-partner-key"],
                "data_import_keys": ["example-import-key"],
            },
            "CurrentsSecret": {"token": "example-token"},
        }.items():
            secrets.put_secret_value(
                SecretId=self._names[name], SecretString=json.dumps(value)
            )
        place = sample("currents_loader")["Records"][0]["s3"]
        s3 = self._cloud.client("s3")
        s3.create_bucket(Bucket=place["bucket"]["name"])
        s3.put_object(
            Bucket=place["bucket"]["name"],
            Key=unquote_plus(place["object"]["key"]),
            Body=(EVENTS / "currents_loader.avro").read_bytes(),
        )
        braze: Any = self._cloud.braze
        for person in ("cust-00017", "cust-00018"):
            braze.workspace.add_user(external_id=person)
        braze.workspace.add_user(devices=[DEVICE])

    def queued(self) -> list[Any]:
        """Messages that came since this was last asked."""
        sqs, url = self._cloud.client("sqs"), self._names["CohortQueue"]
        bodies = []
        while found := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            for each in found:
                bodies.append(json.loads(each["Body"]))
                handle = each["ReceiptHandle"]
                sqs.delete_message(QueueUrl=url, ReceiptHandle=handle)
        return bodies

    def streamed(self) -> int:
        """How many events came into the stream since this was last asked."""
        kinesis = self._cloud.client("kinesis")
        start = kinesis.get_shard_iterator(
            StreamName=self._names["CurrentsStream"],
            ShardId="shardId-000000000000",
            ShardIteratorType="TRIM_HORIZON",
        )["ShardIterator"]
        records = kinesis.get_records(ShardIterator=start)["Records"]
        before = self._streamed
        self._streamed = sum(len(list(decode(each["Data"]))) for each in records)
        return self._streamed - before

    def quarantined(self) -> int:
        """Objects in the cohorts' quarantine."""
        listed = self._cloud.client("s3").list_objects_v2(
            Bucket=self._names["DataBucket"], Prefix="quarantine/cohorts/"
        )
        return int(listed["KeyCount"])

    def members(self) -> int:
        """Members of the sample's cohort at Braze."""
        braze: Any = self._cloud.braze
        return len(braze.workspace.cohort_members(*COHORT))

    def imported(self) -> int:
        """Events at Mixpanel."""
        mixpanel: Any = self._cloud.mixpanel
        return len(mixpanel.visible())


@dataclass(frozen=True)
class Case:
    """A sample event, the answer that its function must give, and what comes of it."""

    function: str
    event: str
    answer: Any
    effect: str = ""
    ask: Callable[[], Any] = lambda: None
    wanted: Any = None


def cases(far: FarEnds) -> list[Case]:
    """All files of `events/` but the rules, which are no event."""
    webhook, receiver = "CohortWebhookFunction", "CurrentsReceiverFunction"
    (record,) = sample("cohort_consumer")["Records"]
    first = [json.loads(record["body"])]
    in_queue: tuple[str, Callable[[], Any]] = ("queued", lambda: len(far.queued()))
    in_stream: tuple[str, Callable[[], Any]] = ("in the stream", far.streamed)
    consumer, importer = "CohortConsumerFunction", "CurrentsImporterFunction"
    return [
        Case(webhook, "cohort_webhook", 200, "the sample queued", far.queued, first),
        Case(consumer, "cohort_consumer", NONE_FAILED, "at Braze", far.members, 3),
        Case(webhook, "cohort_webhook_empty_list", 200, *in_queue, 1),
        Case(webhook, "cohort_webhook_full_sync", 200, *in_queue, 1),
        Case(webhook, "cohort_webhook_malformed", 400, "kept", far.quarantined, 1),
        Case(webhook, "cohort_webhook_partner_name", 201, *in_queue, 0),
        Case(webhook, "cohort_webhook_partner_users", 201, *in_queue, 2),
        Case("CohortMaintenanceFunction", "cohort_maintenance", None),
        Case(receiver, "currents_receiver", 200, *in_stream, 5),
        Case(receiver, "currents_receiver_probe", 200, *in_stream, 0),
        Case("CurrentsLoaderFunction", "currents_loader", None, *in_stream, 5),
        Case(
            importer, "currents_importer", NONE_FAILED, "at Mixpanel", far.imported, 5
        ),
    ]


CALLS = (
    ("cohort_webhook", "", 200),
    ("cohort_webhook", "x", 401),
    ("cohort_webhook_partner_name", "", 201),
    ("cohort_webhook_partner_users", "", 201),
    ("currents_receiver", "", 200),
    ("currents_receiver", "x", 401),
)
"""Sample, what is added to its credentials, and the status, by `start-api`."""


class Report:
    """One line for each try, and how many were right."""

    def __init__(self) -> None:
        self.right: list[bool] = []

    def line(self, what: str, found: Any, wanted: Any, seconds: float) -> None:
        """Show one; what is wrong in full."""
        self.right.append(found == wanted)
        told = "" if self.right[-1] else f"\n    {found!r}\n    not {wanted!r}"
        word = "right" if self.right[-1] else "wrong"
        sys.stdout.write(f"{word}  {seconds:5.1f} s  {what}{told}\n")
        sys.stdout.flush()


def try_all(project: Project, far: FarEnds, report: Report) -> None:
    """The events by `invoke`, then the routes by `start-api`."""
    for case in cases(far):
        began = time.monotonic()
        answer = project.invoke(case.function, case.event)
        if isinstance(answer, dict):
            answer = answer.get("statusCode", answer)
        seconds = time.monotonic() - began
        found = [answer, case.ask()]
        what = f"{case.function}, {case.event}.json {case.effect}"
        report.line(what, found, [case.answer, case.wanted], seconds)
    with project.api() as url:
        for event, added, status in CALLS:
            began, call = time.monotonic(), sample(event)
            session = requests.Session()
            session.trust_env = False
            authorization = call["headers"].get("authorization", "") + added
            answer = session.post(
                url + call["rawPath"],
                data=call["body"].encode(),
                headers={
                    "authorization": authorization,
                    "content-type": "application/json",
                },
                timeout=300,
            )
            seconds = time.monotonic() - began
            what = f"POST {call['rawPath']}{' with a wrong key' if added else ''}"
            report.line(what, answer.status_code, status, seconds)


def docker(*arguments: str) -> str | None:
    """What the engine's command prints; None if it fails or is not there."""
    if not shutil.which("docker"):
        return None
    done = subprocess.run(  # noqa: S603
        ["docker", *arguments],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    return None if done.returncode else done.stdout


def bridge_address() -> str | None:
    """The host's address on the engine's bridge; None where the engine is elsewhere.

    There, as in Docker Desktop, the host's loopback is reached without help.
    """
    told = docker("network", "inspect", "bridge")
    if told is None:
        return None
    subnet = json.loads(told)[0]["IPAM"]["Config"][0]
    first = str(next(ipaddress.ip_network(subnet["Subnet"]).hosts()))
    address = subnet.get("Gateway") or first
    own = subprocess.run(
        ["hostname", "-I"],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    return address if address in own.split() else None


def main() -> int:
    """The exit status; see above."""
    if docker("info") is None:
        sys.stderr.write(f"samlocal: {NO_ENGINE}\n")
        return 2
    report = Report()
    with (
        tempfile.TemporaryDirectory(prefix="samlocal-") as name,
        Cloud(BUILD, logs=Path(name) / "logs") as cloud,
    ):
        # Or its own functions would take what those in containers are to take.
        cloud.pause()
        far, project = FarEnds(cloud), Project(cloud, Path(name))
        far.prepare()
        if address := bridge_address():
            loop = asyncio.new_event_loop()
            loop.run_until_complete(carry(address, "127.0.0.1", project.ports))
            threading.Thread(target=loop.run_forever, daemon=True).start()
        try_all(project, far, report)
    sys.stdout.write(f"{sum(report.right)} of {len(report.right)} right\n")
    return 0 if all(report.right) else 1


if __name__ == "__main__":
    sys.exit(main())
