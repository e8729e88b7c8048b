"""A proxy in front of the servers a function calls, which can kill it at any call.

Between two calls a function changes nothing that outlives it. So a process that was
killed just before and just after each of its calls was killed everywhere that matters.
"""

import http.client
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from sandbox.servers.loopback import KeepAliveHandler, LoopbackServer

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "date", "server"}


@dataclass(slots=True)
class Boundaries:
    """Counts the calls that go through its doors; `calls` says which they were.

    `arm` plans one death: at call `at`, counted from 0 and from the arming, `kill` is
    called before the call is passed on, or `after` it took effect. No answer is given
    then: there is nobody to take it.
    """

    calls: list[str] = field(default_factory=list)
    killed: bool = False
    _at: int | None = None
    _after: bool = False
    _kill: Callable[[], None] = lambda: None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def arm(self, at: int | None, kill: Callable[[], None], *, after: bool) -> None:
        """Begin to count anew; with `at` None nothing is killed."""
        with self._lock:
            self.calls.clear()
            self.killed = False
            self._at, self._after, self._kill = at, after, kill

    def arrive(self, call: str) -> bool:
        """Note a call; whether the caller is to die at it."""
        with self._lock:
            self.calls.append(call)
            return len(self.calls) - 1 == self._at

    def dies(self, *, after: bool) -> bool:
        """Kill, if it is to be on this side of the call."""
        if after != self._after:
            return False
        self.killed = True
        self._kill()
        return True


class Door:
    """One server's address as the function sees it; `upstream` is the real one."""

    def __init__(self, boundaries: Boundaries, upstream: str = "") -> None:
        self.boundaries = boundaries
        self.upstream = upstream
        self._server = _Server(self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(LoopbackServer):
    def __init__(self, door: Door) -> None:
        self.door = door
        super().__init__(0, _Handler)


class _Handler(KeepAliveHandler):
    server: _Server

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        boundaries = self.server.door.boundaries
        dies = boundaries.arrive(self._name())
        if dies and boundaries.dies(after=False):
            self.close_connection = True
            return
        response, content = self._forward(body)
        if dies and boundaries.dies(after=True):
            self.close_connection = True
            return
        self.send_response_only(response.status)
        for name, value in response.getheaders():
            if name.lower() not in {"content-length", *_HOP_BY_HOP}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def _forward(self, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        host = urlsplit(self.server.door.upstream).netloc
        connection = http.client.HTTPConnection(host, timeout=60)
        headers = {k: v for k, v in self.headers.items() if k.lower() != "host"}
        headers.pop("Expect", None)
        try:
            connection.request(self.command, self.path, body, headers)
            response = connection.getresponse()
            return response, response.read()
        finally:
            connection.close()

    def _name(self) -> str:
        """AWS's JSON protocols name the action in a header, the others by the path."""
        action = self.headers.get("X-Amz-Target", "")
        path = urlsplit(self.path).path
        return action.rpartition(".")[2] or f"{self.command} {path.split('/')[1]}"

    # The base class looks methods up by these names.
    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _pass  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """The functions' own logs are the record."""
