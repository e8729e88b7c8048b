"""Until when Braze must not be called, shared by all consumers of the stack.

What one of them learns from Braze, the others read before their next call, once a
second at most: Braze's limits hold for the workspace and not for a process.
"""

import time
from collections.abc import Callable
from threading import Lock
from typing import override

from bridge.aws.dynamodb import Table, Update
from bridge.transport import Brake

BRAKE = "BRAKE"
"""The partition; its sort keys are the paths of Braze's API."""

READ_SECONDS = 1.0
RETENTION_SECONDS = 86_400


class SharedBrake(Brake):
    """A brake in the ledger's table; `now` gives epoch seconds.

    Raises `RetryableError` where the ledger fails.
    """

    def __init__(self, table: Table, now: Callable[[], float] = time.time) -> None:
        super().__init__()
        self._table = table
        self._now = now
        self._read_at = float("-inf")
        self._lock = Lock()

    @override
    def until(self, path: str) -> float:
        with self._lock:
            if self._now() - self._read_at >= READ_SECONDS:
                for item in self._table.query_all(BRAKE):
                    super().hold(item["sk"], int(item["until_ms"]) / 1000)
                self._read_at = self._now()
        return super().until(path)

    @override
    def hold(self, path: str, until: float) -> None:
        with self._lock:
            if until <= super().until(path):
                return  # another call of ours has learnt the same
            super().hold(path, until)
        update = Update(BRAKE, path)
        update.assign("until_ms", int(until * 1000))
        update.assign("expires_at", int(until) + RETENTION_SECONDS)
        self._table.update(update)
