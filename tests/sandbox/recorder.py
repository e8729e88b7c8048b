"""What the tests of the mappings invoke instead of a function."""

import json
import time
from collections.abc import Callable
from typing import Any

from sandbox.lambda_runtime.invocation import Invocation


class Recorder:
    """An `invoke` that keeps the events and answers by a rule of the test's own."""

    def __init__(self, rule: Callable[[dict[str, Any]], Any]) -> None:
        self.events: list[dict[str, Any]] = []
        self._rule = rule

    def __call__(self, payload: bytes) -> Invocation:
        event = json.loads(payload)
        self.events.append(event)
        try:
            answer = self._rule(event)
        except RuntimeError as error:
            body = json.dumps({"errorType": "E", "errorMessage": str(error)})
            return Invocation("request", body.encode(), "Unhandled")
        if isinstance(answer, bytes):
            return Invocation("request", answer)
        return Invocation("request", json.dumps(answer).encode())


def eventually(holds: Callable[[], Any], timeout: float = 10.0) -> None:
    """Wait for what another thread brings about; fails after `timeout` seconds."""
    until = time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < until, "it did not come about in time"
        time.sleep(0.02)
