"""A process that dies at a write: before it is done, or once it is done."""

from collections.abc import Callable, Set
from typing import Any

WRITES = frozenset(
    {
        "put",
        "register",
        "send",
        "mark_sent",
        "save",
        "mark_repeats",
        "set_destination",
        "set_published_name",
    }
    | {"mark_processed", "advance", "forget_aborted"}
)


class Crash(Exception):
    """The process ends here; what it had in hand comes again."""


class Mortal:
    """A port whose writes may be the last thing that the process does."""

    def __init__(
        self, port: Any, dies: Callable[[], bool], writes: Set[str] = WRITES
    ) -> None:
        self._port = port
        self._dies = dies
        self._writes = writes

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._port, name)
        if name not in self._writes:
            return real

        def write(*arguments: Any, **named: Any) -> Any:
            if self._dies():
                raise Crash
            result = real(*arguments, **named)
            if self._dies():
                raise Crash
            return result

        return write
