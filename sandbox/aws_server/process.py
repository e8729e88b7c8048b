"""The AWS server as its parent process sees it, and boto3 clients of it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from sandbox.lambda_runtime.processes import ChildGroup

REGION = "us-east-1"
ACCESS_KEY_ID = "AKIASANDBOX000000000"
SECRET_ACCESS_KEY = "sandbox"  # noqa: S105 - the AWS server accepts anything


class AwsServer:
    """The server's process, from `start` to `stop`; port 0 takes any free one."""

    def __init__(self, port: int = 0) -> None:
        self.url = ""
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._clients: dict[str, Any] = {}

    def start(self, children: ChildGroup, log: Path) -> None:
        """Return when it serves; raises RuntimeError if it does not start."""
        root = Path(__file__).resolve().parents[2]
        with log.open("ab") as stderr:
            self._process = children.spawn(
                [sys.executable, "-m", "sandbox.aws_server", str(self._port)],
                env={**os.environ, "PYTHONPATH": str(root)},
                cwd=root,
                stdout=subprocess.PIPE,
                stderr=stderr,
            )
        if self._process.stdout is None:
            raise AssertionError("stdout is a pipe")
        with self._process.stdout as stdout:
            port = stdout.readline().strip()
        if not port:
            self.stop()
            raise RuntimeError(f"the AWS server did not start, see {log}")
        self.url = f"http://127.0.0.1:{int(port)}"

    def stop(self) -> None:
        for client in self._clients.values():
            client.close()
        self._clients.clear()
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def client(self, service: str) -> Any:
        """The one boto3 client of a service."""
        if service not in self._clients:
            self._clients[service] = boto3.session.Session().client(
                service,
                region_name=REGION,
                endpoint_url=self.url,
                aws_access_key_id=ACCESS_KEY_ID,
                aws_secret_access_key=SECRET_ACCESS_KEY,
                config=Config(
                    max_pool_connections=50,
                    # A developer's proxy has no business on the loopback.
                    proxies={},
                    retries={"total_max_attempts": 2},
                    s3={"addressing_style": "path"},
                ),
            )
        return self._clients[service]
