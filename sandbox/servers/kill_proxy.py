"""A proxy in front of the servers that a function calls, to kill it at any one call.

Between two calls a function changes nothing that outlives its process. To be killed
just before and just after each call therefore covers every moment that matters.
"""

import http.client
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

from sandbox.servers.loopback import KeepAliveHandler, LoopbackServer

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "date", "server"}


@dataclass(slots=True)
class KillSwitch:
    """Counts the calls through all its proxies; `calls` names them in order.

    `arm` chooses a call `at`, counted from 0 since the arming: `kill` is called before
    that call is passed on, or `after` it took effect. It gets no answer, as its caller
    is gone.
    """

    calls: list[str] = field(default_factory=list)
    killed: bool = False
    _at: int | None = None
    _after: bool = False
    _kill: Callable[[], None] = lambda: None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def arm(self, at: int | None, kill: Callable[[], None], *, after: bool) -> None:
        """Count from 0 again; with `at` None nothing is killed."""
        with self._lock:
            self.calls.clear()
            self.killed = False
            self._at, self._after, self._kill = at, after, kill

    @property
    def armed(self) -> bool:
        """Whether a call is chosen that has not come yet."""
        return self._at is not None and not self.killed

    def count(self, call: str) -> bool:
        """Note a call; whether it is the chosen one."""
        with self._lock:
            self.calls.append(call)
            return len(self.calls) - 1 == self._at

    def fire(self, *, after: bool) -> bool:
        """At the chosen call: kill on the chosen side of it; whether that was done."""
        if after != self._after:
            return False
        self.killed = True
        self._kill()
        return True


class KillProxy:
    """One server's address as the function sees it; `upstream` is the server's own."""

    def __init__(self, switch: KillSwitch, upstream: str = "") -> None:
        self.switch = switch
        self.upstream = upstream
        self._server = _Server(self)
        self.url = self._server.url

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()


class _Server(LoopbackServer):
    def __init__(self, proxy: KillProxy) -> None:
        self.proxy = proxy
        super().__init__(0, _Handler)


class _Handler(KeepAliveHandler):
    server: _Server

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        switch = self.server.proxy.switch
        chosen = switch.count(self._name())
        if chosen and switch.fire(after=False):
            self.close_connection = True
            return
        response, content = self._forward(body)
        if chosen and switch.fire(after=True):
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
        host = urlsplit(self.server.proxy.upstream).netloc
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
        """AWS's JSON protocols name the action in a header, others in the path."""
        action = self.headers.get("X-Amz-Target", "")
        path = urlsplit(self.path).path
        return action.rpartition(".")[2] or f"{self.command} {path.split('/')[1]}"

    # The base class looks methods up by these names.
    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _pass  # noqa: N815
