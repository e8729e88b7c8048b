"""A process that crashes at a write, before the write or after it."""

from collections.abc import Callable, Set
from typing import Any

WRITES = frozenset(
    {
        "put",
        "register",
        "send",
        "mark_sent",
        "save",
        "begin_push",
        "end_push",
        "mark_repeats",
        "publish",
    }
    | {"mark_processed", "advance", "forget_aborted"}
)


class Crash(Exception):
    """The process ends here; what it was working on is delivered again."""


class CrashingPort:
    """A port at whose writes the process may crash.

    `crashes` is asked before each write and after it.
    """

    def __init__(
        self, port: Any, crashes: Callable[[], bool], writes: Set[str] = WRITES
    ) -> None:
        self._port = port
        self._crashes = crashes
        self._writes = writes

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._port, name)
        if name not in self._writes:
            return real

        def write(*arguments: Any, **named: Any) -> Any:
            if self._crashes():
                raise Crash
            result = real(*arguments, **named)
            if self._crashes():
                raise Crash
            return result

        return write
