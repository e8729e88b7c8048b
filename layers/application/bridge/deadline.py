"""A deadline for a whole call over HTTP, however slowly its bytes come.

A time-out of requests is one for each byte that is read: a server that drips a byte a
second is never timed out. Here the socket's time-out is what is left of the call.
"""

import io
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

_CHUNK = 262_144


class Deadline(threading.local):
    """When the call under way in this thread must have ended; set anew for each."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at = float("inf")

    def set(self, seconds: float) -> None:
        """The call ends in so many seconds."""
        self._at = self._clock() + seconds

    def apply(self, connection: Any) -> None:
        """Give the socket the time that is left; raises `TimeoutError` if none is."""
        left = self._at - self._clock()
        if left <= 0:
            raise TimeoutError("the call takes too long")
        connection.settimeout(left)


class _Reader(socket.SocketIO):
    """Reads from a socket until the deadline."""

    def __init__(self, connection: Any, deadline: Deadline) -> None:
        super().__init__(connection, "r")
        self._connection = connection
        self._deadline = deadline

    def readinto(self, buffer: Any) -> int | None:
        self._deadline.apply(self._connection)
        return super().readinto(buffer)


class _Socket:
    """A connected socket that keeps to the deadline in all that http.client does."""

    def __init__(self, connection: Any, deadline: Deadline) -> None:
        self._connection = connection
        self._deadline = deadline

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def makefile(self, *_: Any, **__: Any) -> io.BufferedReader:
        """As `socket.makefile("rb")`, which counts its readers in the same way."""
        reader = _Reader(self._connection, self._deadline)
        self._connection._io_refs += 1  # noqa: SLF001 - see above
        return io.BufferedReader(reader)

    def sendall(self, data: Any) -> None:
        """As `socket.sendall`."""
        view = memoryview(data).cast("B")
        while view:
            self._deadline.apply(self._connection)
            view = view[self._connection.send(view[:_CHUNK]) :]


class DeadlineAdapter(HTTPAdapter):
    """Makes the connections of a session keep to one deadline."""

    def __init__(self, deadline: Deadline, connections: int = 1) -> None:
        self._deadline = deadline
        super().__init__(pool_maxsize=connections)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Called by requests, once."""
        super().init_poolmanager(*arguments, **options)
        deadline = self._deadline

        class Plain(HTTPConnection):
            def connect(self) -> None:
                super().connect()
                self.sock: Any = _Socket(self.sock, deadline)

        class Encrypted(HTTPSConnection):
            def connect(self) -> None:
                super().connect()
                self.sock: Any = _Socket(self.sock, deadline)

        class PlainPool(urllib3.HTTPConnectionPool):
            ConnectionCls = Plain

        class EncryptedPool(urllib3.HTTPSConnectionPool):
            ConnectionCls = Encrypted

        self.poolmanager.pool_classes_by_scheme = {
            "http": PlainPool,
            "https": EncryptedPool,
        }
