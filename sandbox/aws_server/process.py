"""The AWS server as its parent process sees it, and boto3 clients of it."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from sandbox.aws_server.permissions import used_file
from sandbox.lambda_runtime.processes import ChildGroup

REGION = "us-east-1"
ACCESS_KEY_ID = "AKIASANDBOX000000000"
SECRET_ACCESS_KEY = "sandbox"  # noqa: S105 - the AWS server accepts anything


def key_of(function: str) -> str:
    """The access key that a function signs with, by its logical id."""
    return f"AKIA{hashlib.sha256(function.encode()).hexdigest()[:16].upper()}"


class AwsServer:
    """The server's process, from `start` to `stop`; port 0 takes any free one."""

    def __init__(self, port: int = 0) -> None:
        self.url = ""
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._clients: dict[tuple[str, str], Any] = {}
        self._permissions: Path | None = None

    def start(
        self, children: ChildGroup, log: Path, permissions: Path | None = None
    ) -> None:
        """Return when it serves; raises RuntimeError if it does not start.

        `permissions` is the file of `grant`.
        """
        self._permissions = permissions
        root = Path(__file__).resolve().parents[2]
        with log.open("ab") as stderr:
            self._process = children.spawn(
                [
                    sys.executable,
                    "-m",
                    "sandbox.aws_server",
                    str(self._port),
                    *([str(permissions)] if permissions else []),
                ],
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

    def grant(self, grants: Mapping[str, Sequence[tuple[str, str]]]) -> None:
        """Say once what each function may do: pairs of action and resource."""
        if self._permissions is not None:
            by_key = {key_of(function): pairs for function, pairs in grants.items()}
            self._permissions.write_text(json.dumps(by_key))

    def used(self) -> set[tuple[str, str, str]]:
        """The grants that were used: function's key, action, resource."""
        if self._permissions is None or not used_file(self._permissions).exists():
            return set()
        lines = used_file(self._permissions).read_text().splitlines()
        return {tuple(json.loads(line)) for line in lines}

    def client(self, service: str, key: str = ACCESS_KEY_ID) -> Any:
        """The one boto3 client of a service, signing with this key."""
        if (service, key) not in self._clients:
            self._clients[service, key] = boto3.session.Session().client(
                service,
                region_name=REGION,
                endpoint_url=self.url,
                aws_access_key_id=key,
                aws_secret_access_key=SECRET_ACCESS_KEY,
                config=Config(
                    max_pool_connections=50,
                    # A developer's proxy has no business on the loopback.
                    proxies={},
                    retries={"total_max_attempts": 2},
                    s3={"addressing_style": "path"},
                ),
            )
        return self._clients[service, key]
