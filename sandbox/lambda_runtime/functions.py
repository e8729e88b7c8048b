"""Lambda functions as pools of execution environments under AWS's own runtime client.

A process sees the task root, the layers of the built template and `awslambdaric`, not
the developer's packages: what the layers lack fails here as it would on Lambda.
"""

import contextlib
import importlib.metadata
import json
import os
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from queue import Empty
from typing import IO

from sandbox.cloudformation.stack import FunctionSettings
from sandbox.lambda_runtime.invocation import (
    SYNCHRONOUS_PAYLOAD_LIMIT,
    Invocation,
    RequestTooLarge,
    Throttled,
)
from sandbox.lambda_runtime.processes import ChildGroup
from sandbox.lambda_runtime.runtime_api import Event, Report, RuntimeApi

# AWS Lambda Developer Guide, "Understanding the Lambda execution environment
# lifecycle": the init phase has 10 seconds of its own.
INIT_SECONDS = 10

# What the managed runtime brings beside the standard library.
_RUNTIME_DISTRIBUTIONS = ("awslambdaric", "simplejson", "snapshot-restore-py")


def link_runtime(folder: Path) -> Path:
    """Fill `folder` with links to the runtime client and what it needs alone."""
    folder.mkdir()
    for name in _RUNTIME_DISTRIBUTIONS:
        distribution = importlib.metadata.distribution(name)
        tops = {file.parts[0] for file in distribution.files or []}
        for top in tops - {"__pycache__", ".."}:
            if not top.endswith(".dist-info"):
                (folder / top).symlink_to(Path(str(distribution.locate_file(top))))
    return folder


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
        """Wait for the first `next`; the error object where it does not come."""
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
            # The client does not survive the refusal; the next event needs another.
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


class LambdaFunction:
    """Invokes one function; at most `concurrency` processes, warm ones first."""

    def __init__(
        self,
        settings: FunctionSettings,
        environment: Mapping[str, str],
        children: ChildGroup,
        log_file: Path,
        concurrency: int,
    ) -> None:
        self.settings = settings
        self._environment = environment
        self._children = children
        self._log = log_file.open("ab")
        self._concurrency = min(concurrency, settings.reserved or concurrency)
        self._idle: list[ExecutionEnvironment] = []
        self._all: set[ExecutionEnvironment] = set()
        self._under_way = 0
        self._changed = threading.Condition()
        self._closed = False

    @property
    def under_way(self) -> int:
        """Invocations running or waiting for a process."""
        return self._under_way

    def invoke(self, payload: bytes) -> Invocation:
        """Raises Throttled beyond the reserved concurrency, RequestTooLarge over 6 MB.

        Beyond the sandbox's own number of processes a request waits, where Lambda
        would start another environment.
        """
        if len(payload) > SYNCHRONOUS_PAYLOAD_LIMIT:
            raise RequestTooLarge
        environment = self._take()
        try:
            return environment.invoke(payload)
        finally:
            self._give_back(environment)

    def kill(self) -> None:
        """SIGKILL for one process: one that is at work, if there is one."""
        with self._changed:
            at_work = [each for each in self._all if each not in self._idle]
            victim = next(iter(at_work or self._idle), None)
        if victim is not None:
            victim.kill()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            environments = list(self._all)
            self._changed.notify_all()
        for environment in environments:
            environment.close()
        self._log.close()

    def _take(self) -> ExecutionEnvironment:
        with self._changed:
            reserved = self.settings.reserved
            if reserved is not None and self._under_way >= reserved:
                raise Throttled
            self._under_way += 1
            try:
                return self._free_environment()
            except BaseException:
                self._under_way -= 1
                raise

    def _free_environment(self) -> ExecutionEnvironment:
        while not self._closed:
            while self._idle:
                environment = self._idle.pop()
                if environment.alive:
                    return environment
                self._all.discard(environment)
                environment.close()
            if len(self._all) < self._concurrency:
                environment = ExecutionEnvironment(
                    self.settings, self._environment, self._children, self._log
                )
                self._all.add(environment)
                return environment
            self._changed.wait()
        raise Throttled

    def _give_back(self, environment: ExecutionEnvironment) -> None:
        with self._changed:
            self._under_way -= 1
            keep = environment.alive and not self._closed
            if keep:
                self._idle.append(environment)
            else:
                self._all.discard(environment)
            self._changed.notify()
        if not keep:
            environment.close()


def lambda_environment(
    settings: FunctionSettings, runtime: Path, region: str, overrides: Mapping[str, str]
) -> dict[str, str]:
    """The variables a function finds, as on Lambda.

    AWS Lambda Developer Guide, "Working with Lambda environment variables", "Defined
    runtime environment variables".
    """
    # Lambda merges layers into one folder in which the last one wins.
    layers = list(reversed(settings.layers))
    python_path = [str(settings.code)]
    for layer in layers:
        python_path.append(str(layer / "python/lib/python3.13/site-packages"))
        python_path.append(str(layer / "python"))
    return {
        "AWS_DEFAULT_REGION": region,
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(settings.memory),
        "AWS_LAMBDA_FUNCTION_NAME": settings.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{settings.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": f"{time.strftime('%Y/%m/%d')}/[$LATEST]sandbox",
        "AWS_REGION": region,
        "LAMBDA_RUNTIME_DIR": str(runtime),
        "LAMBDA_TASK_ROOT": str(settings.code),
        "LANG": "en_US.UTF-8",
        "LD_LIBRARY_PATH": ":".join(str(layer / "lib") for layer in layers),
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "PYTHONPATH": ":".join([*python_path, str(runtime)]),
        "TZ": ":UTC",
        "_HANDLER": settings.handler,
        # The developer's own profile must not leak in through the home directory.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        **settings.environment,
        **overrides,
    }


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
