"""`make rehearse`: what an operator does to AWS, done to an emulator of it.

The stack is deployed as `make deploy` deploys it, a parameter is changed, the tests of
the ledger run on its table and a message goes through its queue; then it is removed.
The emulator is ministack, in an environment of its own and bound to the loopback. It
asks no role, and its figures say nothing about AWS.
"""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from bridge.cohorts.adapters.sqs_queue import SqsQueue
from bridge.cohorts.cohort_messages import RescanMessage, read
from bridge.cohorts.messages import CohortKey
from scripts.deployment.answers import Answers, SamConfig

ROOT = Path(__file__).parents[1]
REGION, NAME = "eu-west-1", "rehearsal"
LINKED = (".aws-sam", ".venv", ".venv-sam", "functions", "layers", "scripts",
          "template.yaml")  # fmt: skip
FIRST = (
    "MixpanelRegion=EU BrazeRestEndpoint=https://rest.fra-02.braze.eu "
    "AlarmEmail=ops@example.com"
)
START_SECONDS = 60
QUIET_SECONDS = 5
"""After this a mapping that was disabled polls no more."""


def free_port() -> int:
    """A port of the loopback that nothing uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def emulator(folder: Path) -> Iterator[str]:
    """The address of an emulator that lasts as long as the block."""
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        # It would listen on every address, whatever BIND_HOST says.
        "IOT_MTLS_ENABLED": "0",
    }
    with (folder / "ministack.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603
            [ROOT / ".venv-ministack" / "bin" / "ministack"],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url, process)
        yield url
    finally:
        process.terminate()
        process.wait()


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    until = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError):
            opener.open(f"{url}/_ministack/health", timeout=2).close()
            return
        time.sleep(0.2)
    raise RuntimeError("ministack does not start")


class Rehearsal:
    """One project folder beside this one, with a samconfig.toml of its own."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        for name in LINKED:
            (folder / name).symlink_to(ROOT / name)
        places = {"region": REGION, "stack_name": NAME}
        SamConfig(folder / "samconfig.toml").write("default", Answers(places))
        self._environment = {
            **{n: v for n, v in os.environ.items() if not n.startswith("AWS_")},
            "AWS_ACCESS_KEY_ID": "rehearsal",
            "AWS_SECRET_ACCESS_KEY": "rehearsal",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": url,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "NO_PROXY": "127.0.0.1,localhost",
            "PYTHONPATH": f"{ROOT}/layers/application:{ROOT}",
        }
        self._url = url

    def client(self, service: str) -> Any:
        """A client of the emulator."""
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self._url,
            aws_access_key_id="rehearsal",
            aws_secret_access_key="rehearsal",  # noqa: S106
            config=Config(proxies={}),
        )

    def run(self, *command: str, **environment: str) -> str:
        """Run a command of the project, in its folder; what it prints."""
        ran = subprocess.run(  # noqa: S603
            [str(ROOT / ".venv" / "bin" / "python"), *command],
            cwd=self.folder,
            env={**self._environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if ran.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{ran.stdout}")
        return ran.stdout

    def deploy(self, changes: str) -> None:
        """As `make deploy SET="…"`, for this machine."""
        machine = "arm64" if os.uname().machine in {"arm64", "aarch64"} else "x86_64"
        self.run("-m", "scripts.deployment", SET=changes, ARCHITECTURE=machine)

    def bridge(self, *words: str) -> str:
        """The operator's command on the stack."""
        return self.run("-m", "cli", "--stack", NAME, "--region", REGION, *words)

    def parameters(self) -> Mapping[str, str]:
        """Those of the stack."""
        (stack,) = self.client("cloudformation").describe_stacks(StackName=NAME)[
            "Stacks"
        ]
        return {p["ParameterKey"]: p["ParameterValue"] for p in stack["Parameters"]}

    def physical(self, logical_id: str) -> str:
        """The name or address of a resource."""
        found = self.client("cloudformation").describe_stack_resource(
            StackName=NAME, LogicalResourceId=logical_id
        )
        return str(found["StackResourceDetail"]["PhysicalResourceId"])


def expect(holds: bool, what: str) -> None:
    """Say what was seen; raises `RuntimeError` where it was not."""
    if not holds:
        raise RuntimeError(f"not so: {what}")
    sys.stdout.write(f"right  {what}\n")
    sys.stdout.flush()


def rehearse(stage: Rehearsal) -> None:
    """Deploy, update, use and remove; raises `RuntimeError` at the first mistake."""
    stage.deploy(FIRST)
    expect(stage.parameters()["MixpanelRegion"] == "EU", "the stack is deployed")
    stage.deploy("ReassertDays=0")
    expect(stage.parameters()["ReassertDays"] == "0", "a parameter is changed")
    expect(stage.parameters()["MixpanelRegion"] == "EU", "and no other one")
    expect(
        "bearer token" in stage.bridge("setup", "--show"), "setup shows what to enter"
    )
    expect("CohortQueue" in stage.bridge("status"), "status reads queues and ledger")
    queue_works(stage)
    passed = ledger_tests(stage)
    expect(passed > 50, f"{passed} tests of the ledger pass on its table")
    kept = [stage.physical(name) for name in ("LedgerTable", "DataBucket")]
    stage.bridge("remove", "--confirm", NAME)
    stacks = stage.client("cloudformation").list_stacks()["StackSummaries"]
    states = {each["StackStatus"] for each in stacks if each["StackName"] == NAME}
    expect(states <= {"DELETE_COMPLETE"}, "the stack is removed")
    table = stage.client("dynamodb").describe_table(TableName=kept[0])["Table"]
    expect(table["TableStatus"] == "ACTIVE", "and its ledger stays")
    buckets = {each["Name"] for each in stage.client("s3").list_buckets()["Buckets"]}
    expect(kept[1] in buckets, "and its data bucket")


def ledger_tests(stage: Rehearsal) -> int:
    """Run the model's tests on the stack's table; how many passed, if all did."""
    command = ["-m", "pytest", str(ROOT / "tests" / "model"), "-vv"]
    command += ["--rootdir", str(ROOT), "-c", str(ROOT / "pyproject.toml")]
    command += ["-p", "no:cacheprovider", "-m", "not soak", "-k", "rehearsed"]
    said = stage.run(*command, REHEARSED_TABLE=stage.physical("LedgerTable"))
    return said.count(" PASSED")


def queue_works(stage: Rehearsal) -> None:
    """One message in, twice, and one out: FIFO, its group, de-duplicated."""
    sqs, url = stage.client("sqs"), stage.physical("CohortQueue")
    functions = stage.client("lambda")
    for mapping in functions.list_event_source_mappings()["EventSourceMappings"]:
        # The emulator would hand the message to the consumer first.
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    time.sleep(QUIET_SECONDS)
    message = RescanMessage(key=CohortKey(project="1", cohort="7"), day=9, days=30)
    for _ in range(2):
        SqsQueue(sqs, url).send(message)
    received = sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"]
    ).get("Messages", ())
    bodies = [read(each["Body"]) for each in received]
    expect(bodies == [message], "a message goes through its queue once")
    for each in received:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])


def main() -> int:
    """The exit status; the emulator's own log is shown where it fails."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as temporary:
        folder = Path(temporary)
        try:
            with emulator(folder) as url:
                (folder / "project").mkdir()
                rehearse(Rehearsal(folder / "project", url))
        except RuntimeError as error:
            log = folder / "ministack.log"
            tail = log.read_text()[-2000:] if log.exists() else ""
            sys.stderr.write(f"{tail}\nwrong  {error}\n")
            return 1
    sys.stdout.write(f"rehearsed in {time.monotonic() - began:.0f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
