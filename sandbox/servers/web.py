"""A small threaded HTTP server on 127.0.0.1, for the stand-ins.

A stand-in answers with `Answer`, which can also be a fault of the wire: a reset, or a
stall.
"""

import gzip
import json
import socket
import struct
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from sandbox.servers.loopback import KeepAliveHandler, LoopbackServer

_MAX_BODY = 64_000_000
# Linger zero makes the close a reset, as a broken balancer does.
_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Call:
    """One request: header names are in lower case, the body is as it was sent."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    def inflated(self) -> bytes:
        """The body without its content encoding; raises OSError for bad gzip."""
        if self.headers.get("content-encoding") == "gzip":
            return gzip.decompress(self.body)
        return self.body

    def json(self) -> Any:
        """Raises ValueError."""
        return json.loads(self.body)

    def form(self) -> dict[str, str]:
        """The fields of a form."""
        return dict(parse_qsl(self.body.decode(errors="replace")))


@dataclass(frozen=True, slots=True)
class Answer:
    """What to answer after `delay` seconds; `reset` breaks the connection instead."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    delay: float = 0.0
    reset: bool = False

    def content(self) -> bytes:
        """The bytes of the body."""
        if self.raw is not None:
            return self.raw
        return b"" if self.body is None else json.dumps(self.body).encode()


type Respond = Callable[[Call], Answer]


class WebServer:
    """Serves one function of calls to answers."""

    def __init__(self, respond: Respond, port: int = 0) -> None:
        self._server = _Server(respond, port)

    @property
    def url(self) -> str:
        """The base URL."""
        return self._server.url

    def start(self) -> str:
        """Begin to serve; the base URL."""
        self._server.start()
        return self.url

    def stop(self) -> None:
        """Return when no call is taken any more, on kept-alive connections neither."""
        self._server.stop()
        self._server.hang_up()


class StandIn:
    """Base of the stand-ins: a server whose answers are the subclass's `respond`."""

    def __init__(self, port: int = 0) -> None:
        self._server = WebServer(self.respond, port)

    def respond(self, call: Call) -> Answer:
        """Answer one call."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        """The base URL."""
        return self._server.url

    def start(self) -> str:
        """Begin to serve; the base URL."""
        return self._server.start()

    def stop(self) -> None:
        """Return when no new call is taken."""
        self._server.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Server(LoopbackServer):
    def __init__(self, respond: Respond, port: int) -> None:
        self.respond = respond
        self.stopping = threading.Event()
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(port, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End the connections that clients keep alive, and the stalls."""
        self.stopping.set()
        with self._lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # its client was faster


class _Handler(KeepAliveHandler):
    server: _Server

    def _respond(self) -> None:
        length = self.headers.get("content-length") or "0"
        if "transfer-encoding" in self.headers or not length.isdecimal():
            self._send(Answer(411, {"message": "Length Required"}), keep=False)
        elif int(length) > _MAX_BODY:
            self._send(Answer(413, {"message": "Body too large"}), keep=False)
        else:
            self._answer(self._called(self.rfile.read(int(length))))

    def _called(self, body: bytes) -> Answer:
        parts = urlsplit(self.path)
        call = Call(
            method=self.command,
            path=parts.path,
            query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
        )
        try:
            return self.server.respond(call)
        except Exception:  # noqa: BLE001 - a bug here must not look like a fault of the vendor
            sys.stderr.write(traceback.format_exc())
            return Answer(500, {"stand_in": "failed, see its standard error"})

    def _answer(self, answer: Answer) -> None:
        if answer.delay:
            self.server.stopping.wait(answer.delay)
        if answer.reset or self.server.stopping.is_set():
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.connection.close()
            self.close_connection = True
        else:
            self._send(answer)

    def _send(self, answer: Answer, *, keep: bool = True) -> None:
        content = answer.content()
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if "content-type" not in answer.headers:
            self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        if not keep:
            self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def handle_expect_100(self) -> bool:
        # The buffer would hold the 100 back, and curl would wait a second for it.
        proceed = super().handle_expect_100()
        self.wfile.flush()
        return proceed

    do_GET = do_POST = do_PUT = do_DELETE = _respond  # noqa: N815 - names of the base
