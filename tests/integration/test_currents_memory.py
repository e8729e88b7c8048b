"""No body that the receiver takes needs more than 60 % of its memory."""

import gzip
import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.braze.currents import CurrentsSource
from tests.integration.stack import template

PROGRAM = """
import sys
from datetime import UTC, datetime
from functions.currents_receiver import app
from bridge.aws.http_api import Request
from bridge.currents.intake.http import answer_call
from bridge.currents.stream.kinesis import Stream
from bridge.quarantine import Quarantine

class Kinesis:
    def put_records(self, StreamName, Records):
        return {"Records": [{} for _ in Records]}

class S3:
    def put_object(self, **put):
        pass

class Secret:
    def get(self):
        return self
    tokens = ()

import bridge.currents.intake.http as http
http.admits = lambda *_, **__: True
import base64
body = open(sys.argv[1], "rb").read()
request = Request("id", 0, {}, base64.b64encode(body).decode(), True)
answer = answer_call(
    request, secret=Secret(), stream=Stream(Kinesis(), "s"),
    quarantine=Quarantine(S3(), "b", "currents"),
)
# Of this program alone: getrusage counts what the process was before it, a test worker.
(high,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
peak = int(high.split()[1]) * 1024
print(peak, answer.status, answer.body["events"], answer.body["quarantined"])
"""

MEGABYTE = 1_000_000


def noise(size: int) -> str:
    return random.Random(1).randbytes(size // 2).hex()


def legitimate() -> bytes:
    made = CurrentsSource(["u"], 1_767_225_600)
    events = [made.event("users.messages.email.Open") for _ in range(100)]
    for event in events:
        event["properties"]["user_agent"] = noise(50_000)
    return json.dumps({"events": events}).encode()


BODIES: dict[str, Callable[[], bytes]] = {
    "a batch of 5 MB": legitimate,
    "elements of one byte": lambda: b"[" + b"1," * (11 * MEGABYTE) + b"1]",
    "one-byte elements in an envelope": lambda: (
        b'{"x":1,"events":[' + b"1," * 3_900_000 + b"1]}"
    ),
    "tiny objects": lambda: b"[" + b"{}," * (7 * MEGABYTE) + b"{}]",
    "tiny objects without commas": lambda: b"{}" * (11 * MEGABYTE),
    "tiny lines": lambda: b"{}\n" * (7 * MEGABYTE),
    "broken lines": lambda: b"{x\n" * 3_900_000,
    "a broken array of tiny elements": lambda: b"[" + b"x," * 3_900_000,
    "one large text": lambda: (
        b'[{"a":"' + "é😀".encode() + b"x" * 22 * MEGABYTE + b'"}]'
    ),
    "one large text that is no JSON": lambda: b'{"a":"' + b"x" * 23 * MEGABYTE,
    "large texts that are no JSON": lambda: (
        b"[" + b",".join([b'{"a":x"' + b"x" * 3 * MEGABYTE + b"}"] * 7) + b"]"
    ),
    "a list of lists": lambda: b'[{"a":[' + b"[]," * 1_200_000 + b"[]]}]",
    "beyond the limit": lambda: b'[{"a":"' + b"x" * 60 * MEGABYTE + b'"}]',
}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
@pytest.mark.parametrize("kind", BODIES)
def test_a_body_takes_no_more_than_its_share_of_the_memory(
    kind: str, tmp_path: Path
) -> None:
    body = tmp_path / "body"
    body.write_bytes(gzip.compress(BODIES[kind](), 1))
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", PROGRAM, str(body)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    peak, status, events, quarantined = map(int, done.stdout.splitlines()[-1].split())
    memory = template().properties("CurrentsReceiverFunction")["MemorySize"] * 2**20
    assert peak < 0.6 * memory, f"{peak / 2**20:.0f} MB"
    assert status == 200
    if "batch" in kind:
        assert (events, quarantined) == (100, 0)
    else:
        assert events + quarantined > 0
