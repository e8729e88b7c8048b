"""The built template as `sam local` is to run it: with the local cloud's addresses."""

import contextlib
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from sandbox.cloud import Cloud
from scripts.samlocal import host_ports

ROOT = Path(__file__).parents[2]
BUILD, EVENTS = ROOT / ".aws-sam" / "build", ROOT / "events"
MACHINE = "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64"
SECONDS = 600


class Project:
    """A folder with a template of its own, and `sam local` in it."""

    def __init__(self, cloud: Cloud, folder: Path) -> None:
        self._template = folder / "template.json"
        self._folder = folder
        told = cloud.description
        self._environment = {
            **os.environ,
            "SAM_CLI_TELEMETRY": "0",
            "AWS_DEFAULT_REGION": told["region"],
            "AWS_ACCESS_KEY_ID": told["aws_access_key_id"],
            "AWS_SECRET_ACCESS_KEY": told["aws_secret_access_key"],
        }
        urls = (told[f"{name}_url"] for name in ("aws_endpoint", "braze", "mixpanel"))
        self.ports = [int(urlsplit(url).port or 0) for url in urls]
        self._write_layer()
        self._template.write_text(json.dumps(self._edited(cloud)))

    def _write_layer(self) -> None:
        layer = self._folder / "HostPorts"
        (layer / "extensions").mkdir(parents=True)
        extension = layer / "extensions" / "host-ports"
        shutil.copy(host_ports.__file__, extension)
        extension.chmod(0o755)
        (layer / host_ports.PORTS.name).write_text(json.dumps(self.ports))

    def _edited(self, cloud: Cloud) -> dict[str, Any]:
        template: dict[str, Any] = yaml.safe_load((BUILD / "template.yaml").read_text())
        template["Parameters"]["Architecture"]["Default"] = MACHINE
        # A path of the stack's own, which sam local's API does not have.
        template["Resources"]["Api"]["Properties"].pop("StageName")
        template["Globals"]["Function"]["Layers"].append({"Ref": "HostPorts"})
        template["Resources"]["HostPorts"] = {
            "Type": "AWS::Serverless::LayerVersion",
            "Properties": {
                "ContentUri": str(self._folder / "HostPorts"),
                "CompatibleRuntimes": ["python3.13"],
            },
        }
        for name, resource in template["Resources"].items():
            properties = resource.get("Properties", {})
            for uri in {"CodeUri", "ContentUri"} & set(properties):
                properties[uri] = str(BUILD / properties[uri])
            if resource["Type"] == "AWS::Serverless::Function":
                properties["Environment"]["Variables"] = cloud.variables(name)
        return template

    def _command(self, *arguments: str) -> list[str]:
        sam = str(ROOT / ".venv-sam" / "bin" / "sam")
        host = f"{host_ports.HOST}:host-gateway"
        options = ["--template", str(self._template), "--add-host", host]
        if os.environ.get("SKIP_PULL"):
            options.append("--skip-pull-image")
        return [sam, "local", *arguments, *options]

    def invoke(self, function: str, event: str) -> Any:
        """What `sam local invoke` prints: the function's answer, or sam's complaint."""
        done = subprocess.run(  # noqa: S603
            self._command("invoke", function, "--event", str(EVENTS / f"{event}.json")),
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        if done.returncode == 0 and not done.stdout.strip():
            return None
        try:
            return json.loads(done.stdout)
        except ValueError:
            return {"sam": done.returncode, "said": done.stderr[-1500:]}

    @contextlib.contextmanager
    def api(self) -> Iterator[str]:
        """`sam local start-api`: its address; raises `RuntimeError` if it ends."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = str(free.getsockname()[1])
        log = self._folder / "start-api.log"
        with log.open("wb") as written:
            process = subprocess.Popen(  # noqa: S603
                self._command("start-api", "--port", port, "--warm-containers", "LAZY"),
                env=self._environment,
                stdout=written,
                stderr=written,
                start_new_session=True,
            )
        try:
            self._wait(process, int(port), log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)

    @staticmethod
    def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        until = time.monotonic() + 120
        while time.monotonic() < until:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", port), 1),
            ):
                return
            if process.poll() is not None:
                break
            time.sleep(0.1)
        raise RuntimeError(f"sam local start-api does not answer: {log.read_text()}")
