"""The whole cloud: description, draining, the command, and no process left behind."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.cloud import Cloud
from sandbox.http_api.server import HttpApi
from tests.sandbox.recorder import eventually
from tests.sandbox.small_stack import build

UNUSED = "http://127.0.0.1:9"
ROOT = Path(__file__).resolve().parents[2]


def results(cloud: Cloud) -> list[str]:
    """The sources of the events the Worker saw, emptied on reading."""
    sqs = cloud.client("sqs")
    url = cloud.description["resources"]["Results"]
    sources = []
    for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get(
        "Messages", ()
    ):
        sources.append(json.loads(message["Body"])[1]["Records"][0]["eventSource"])
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return sources


def test_every_source_of_the_template_reaches_its_function(cloud: Cloud) -> None:
    """AWS Lambda Developer Guide, "Invoking Lambda with events from other AWS services"
    (lambda-services)."""
    resources = cloud.description["resources"]
    results(cloud)
    cloud.client("sqs").send_message(
        QueueUrl=resources["Queue"],
        MessageBody="x",
        MessageGroupId="g",
        MessageDeduplicationId=str(time.time()),
    )
    cloud.client("kinesis").put_record(
        StreamName=resources["Stream"], Data=b"x", PartitionKey="k"
    )
    cloud.client("s3").put_object(Bucket=resources["Bucket"], Key="x.avro", Body=b"x")
    cloud.drain(20)
    assert sorted(results(cloud)) == ["aws:kinesis", "aws:s3", "aws:sqs"]


def test_the_description_tells_urls_and_credentials(cloud: Cloud) -> None:
    """AWS CloudFormation User Guide, "Outputs" (outputs-section-structure)."""
    description = cloud.description
    assert description["webhook_url"] == description["api_url"] + "/probe"
    assert description["webhook_username"] == "mixpanel"
    assert len(description["webhook_password"]) == 32
    assert description["functions"]["Probe"] == "sandbox-Probe"
    secret = cloud.client("secretsmanager").get_secret_value(
        SecretId=description["resources"]["BrazeSecret"]
    )
    keys = {
        "rest_api_key": description["braze_rest_api_key"],
        "partner_api_key": cloud.accounts.braze_partner_api_key,
        "data_import_key": cloud.accounts.braze_data_import_key,
    }
    assert json.loads(secret["SecretString"]) == keys


@contextlib.contextmanager
def command(built: Path) -> Iterator[subprocess.Popen[str]]:
    """`python -m sandbox` on a build, with its standard output to read."""
    process = subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-m", "sandbox", "--build-dir", str(built),
         "--braze-url", UNUSED, "--mixpanel-url", UNUSED],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    with process:
        try:
            yield process
        finally:
            process.kill()


def listening(url: str) -> bool:
    host, _, port = url.removeprefix("http://").partition(":")
    with contextlib.suppress(OSError):
        socket.create_connection((host, int(port)), timeout=1).close()
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_the_command(
    tmp_path: Path, number: signal.Signals
) -> None:
    """The sandbox's own rule, whatever ends it."""
    with command(build(tmp_path)) as process:
        assert process.stdout is not None
        description = json.loads(process.stdout.readline())
        pid = _process_of_probe(description)
        process.send_signal(number)
        process.wait(10)
        eventually(lambda: not listening(description["aws_endpoint_url"]))
        eventually(lambda: not _running(pid))
    assert process.returncode == (0 if number is signal.SIGTERM else -number)


def _process_of_probe(description: dict[str, str]) -> int:
    connection = http.client.HTTPConnection(description["api_url"][7:], timeout=20)
    with contextlib.closing(connection):
        body = json.dumps({"pid": True})
        connection.request("POST", "/probe", body, {"Content-Type": "text/plain"})
        return int(json.loads(connection.getresponse().read()))


def _running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A killed process whose parent is gone may wait for init to collect it.
    status = Path(f"/proc/{pid}/stat")
    return not (
        status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z"
    )


def test_the_command_says_when_nothing_is_built(tmp_path: Path) -> None:
    """The sandbox's own rule."""
    with command(tmp_path) as process:
        out, errors = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "make build" in errors
    assert out == ""


def test_a_cloud_that_cannot_start_leaves_nothing_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sandbox's own rule."""

    def refuse(self: HttpApi) -> None:
        raise OSError("the port is taken")

    monkeypatch.setattr(HttpApi, "start", refuse)
    cloud = Cloud(build(tmp_path), UNUSED, UNUSED)
    with pytest.raises(OSError, match="taken"):
        cloud.start()
    assert not listening(cloud._aws.url)
