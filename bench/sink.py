"""A stand-in for both vendors that accepts everything and only counts.

It runs in a process of its own, so that its CPU time is not measured. It also answers
for Secrets Manager and S3, as far as the importer needs them under Lambda's runtime.
"""

import gzip
import json
import subprocess
import sys
from collections import Counter
from http.client import HTTPConnection
from typing import Any, Self

import orjson

from sandbox.servers.loopback import KeepAliveHandler, LoopbackServer

SECRETS = {
    "mixpanel": {"project_token": "bench-project-token"},
    "braze": {"rest_api_key": "bench-rest-key"},
}
_DEDUPLICATED_BY = ("$insert_id", "distinct_id", "time")


class Sink:
    """The stand-in's process, as its parent sees it."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.sink"], stdout=subprocess.PIPE
        )
        if self._process.stdout is None:
            raise AssertionError("stdout is a pipe")
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    @property
    def url(self) -> str:
        """Base address for either vendor."""
        return f"http://127.0.0.1:{self.port}"

    def counts(self) -> Counter[str]:
        """How many imports, events, track calls, track objects and puts came in.

        Counted since the last call.
        """
        connection = HTTPConnection("127.0.0.1", self.port)
        connection.request("GET", "/counts")
        found: Counter[str] = Counter(json.loads(connection.getresponse().read()))
        connection.close()
        return found


class _Handler(KeepAliveHandler):
    server: "_Server"

    def do_GET(self) -> None:
        self._answer(200, dict(self.server.counts))
        self.server.counts.clear()

    def do_PUT(self) -> None:
        self._body()
        self.server.counts["put objects"] += 1
        self._answer(200, {})

    def do_POST(self) -> None:
        body = self._body()
        if self.path.startswith("/import"):
            events = _events(body)
            whole = sum(
                all(event["properties"].get(key) for key in _DEDUPLICATED_BY)
                for event in events
            )
            self.server.counts["imports"] += 1
            self.server.counts["events"] += whole
            self._answer(200, {"code": 200, "num_records_imported": whole})
        elif self.path.startswith("/users/track"):
            objects = len(json.loads(body)["attributes"])
            self.server.counts["track calls"] += 1
            self.server.counts["track objects"] += objects
            self._answer(201, {"message": "success", "attributes_processed": objects})
        elif self.headers.get("X-Amz-Target") == "secretsmanager.GetSecretValue":
            name = json.loads(body)["SecretId"]
            self._answer(200, {"SecretString": json.dumps(SECRETS[name])})
        else:
            self._answer(404, {})

    def _body(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Content-Encoding") == "gzip":
            return gzip.decompress(body)
        return body

    def _answer(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


class _Server(LoopbackServer):
    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        super().__init__(0, _Handler)


def _events(body: bytes) -> list[Any]:
    """An array, or one event a line."""
    if body.startswith(b"["):
        events: list[Any] = orjson.loads(body)
        return events
    return [orjson.loads(line) for line in body.splitlines()]


def main() -> None:
    """Serve on any port, and print it."""
    server = _Server()
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
