"""One execution environment: a function's process under AWS's own runtime client.

The process sees the task root, the layers of the built template and `awslambdaric`, not
the developer's packages: what the layers lack fails here as it would on Lambda.
"""

import contextlib
import json
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from queue import Empty
from typing import IO

from sandbox.cloudformation.settings import FunctionSettings
from sandbox.lambda_runtime.invocation import Invocation
from sandbox.lambda_runtime.processes import ChildGroup
from sandbox.lambda_runtime.runtime_api import Event, Report, RuntimeApi

# AWS Lambda Developer Guide, "Understanding the Lambda execution environment
# lifecycle": the init phase has 10 seconds of its own.
INIT_SECONDS = 10


class ExecutionEnvironment:
    """One process of a function, started by its first invocation."""

    def __init__(
        self,
        settings: FunctionSettings,
        environment: Mapping[str, str],
        children: ChildGroup,
        log: IO[bytes],
    ) -> None:
        self._settings = settings
        self._log = log
        self._api = RuntimeApi()
        self._process = children.spawn(
            # -S leaves site-packages out, -B because /var/task is read-only on Lambda.
            [sys.executable, "-S", "-B", "-m", "awslambdaric", settings.handler],
            env={**environment, "AWS_LAMBDA_RUNTIME_API": self._api.address},
            cwd=settings.code,
            stdout=log,
            stderr=log,
        )
        self._started = time.monotonic()
        self._init_seconds: float | None = None
        threading.Thread(target=self._watch, daemon=True).start()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def invoke(self, payload: bytes) -> Invocation:
        request_id = str(uuid.uuid4())
        self._line(f"START RequestId: {request_id} Version: $LATEST")
        cold = self._init_seconds is None
        error = self._initialize() if cold else None
        began = time.monotonic()
        if error is None:
            outcome = self._run(request_id, payload)
        else:
            outcome = Invocation(
                request_id, _identified(error, request_id), "Unhandled"
            )
        self._line(f"END RequestId: {request_id}")
        report = (
            f"REPORT RequestId: {request_id}\t"
            f"Duration: {(time.monotonic() - began) * 1000:.2f} ms\t"
            f"Memory Size: {self._settings.memory} MB"
        )
        if cold and self._init_seconds is not None:
            report += f"\tInit Duration: {self._init_seconds * 1000:.2f} ms"
        self._line(report)
        return outcome

    def kill(self) -> None:
        """End the process by SIGKILL, whatever it is doing."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()

    def close(self) -> None:
        self.kill()
        self._api.close()

    def _initialize(self) -> bytes | None:
        """Wait for the first `next`; the error object if it does not come."""
        # Lambda repeats an init that takes too long within the invocation's own time.
        allowed = INIT_SECONDS + self._settings.timeout
        try:
            report = self._api.reports.get(timeout=allowed)
        except Empty:
            self._process.kill()
            return _error("Sandbox.Timedout", f"Init timed out after {allowed} seconds")
        self._init_seconds = time.monotonic() - self._started
        if report.kind == "ready":
            return None
        # The client exits by itself after reporting; nothing may be sent to it again.
        self._process.kill()
        self._process.wait()
        return report.payload if report.kind == "init error" else _exit_error(report)

    def _run(self, request_id: str, payload: bytes) -> Invocation:
        timeout = self._settings.timeout
        deadline = int((time.time() + timeout) * 1000)
        self._api.events.put(Event(request_id, payload, deadline, self._settings.arn))
        try:
            report = self._api.reports.get(timeout=timeout)
        except Empty:
            self._process.kill()
            self._process.wait()
            message = f"Task timed out after {timeout:.2f} seconds"
            self._line(f"{request_id} {message}")
            error = _error("Sandbox.Timedout", message)
            return Invocation(request_id, _identified(error, request_id), "Unhandled")
        if report.kind == "response":
            return Invocation(request_id, report.payload)
        if report.kind == "error":
            return Invocation(request_id, report.payload, "Unhandled")
        if report.kind == "too large":
            # The client does not survive a 413; the next event needs another process.
            self._process.kill()
            self._process.wait()
            return Invocation(request_id, report.payload, "Unhandled")
        error = _exit_error(report)
        self._line(error.decode())
        return Invocation(request_id, _identified(error, request_id), "Unhandled")

    def _watch(self) -> None:
        self._api.reports.put(Report("exit", exit_code=self._process.wait()))

    def _line(self, text: str) -> None:
        self._log.write(text.encode() + b"\n")
        self._log.flush()


def _error(error_type: str, message: str) -> bytes:
    return json.dumps({"errorType": error_type, "errorMessage": message}).encode()


def _exit_error(report: Report) -> bytes:
    code = report.exit_code
    if code == 0:
        reason = "Runtime exited without providing a reason"
    elif code < 0:
        reason = f"Runtime exited with error: signal: {-code}"
    else:
        reason = f"Runtime exited with error: exit status {code}"
    return _error("Runtime.ExitError", reason)


def _identified(error: bytes, request_id: str) -> bytes:
    """Lambda puts the request id before the message of errors of its own making."""
    content = json.loads(error)
    if "stackTrace" not in content:
        message = content["errorMessage"]
        content["errorMessage"] = f"RequestId: {request_id} Error: {message}"
    return json.dumps(content).encode()
