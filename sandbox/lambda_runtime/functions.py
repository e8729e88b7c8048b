"""A Lambda function: a pool of execution environments, and its concurrency."""

import threading
from collections.abc import Mapping
from pathlib import Path

from sandbox.cloudformation.settings import FunctionSettings
from sandbox.lambda_runtime.environment import ExecutionEnvironment
from sandbox.lambda_runtime.invocation import (
    SYNCHRONOUS_PAYLOAD_LIMIT,
    Invocation,
    RequestTooLarge,
    Throttled,
)
from sandbox.lambda_runtime.processes import ChildGroup


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
            self._put_back(environment)

    def kill(self) -> None:
        """Send SIGKILL to one process, to one at work if there is one."""
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

    def _put_back(self, environment: ExecutionEnvironment) -> None:
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
