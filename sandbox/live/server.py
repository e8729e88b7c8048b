"""The page over HTTP on 127.0.0.1: its files, its state, and what is clicked.

GET  /        and the other files of `page/`
GET  /state   everything on the page, as JSON
POST /do      {"action": "join"}, {"action": "braze_outage", "value": true},
              {"action": "tour"}, {"action": "stop"}
"""

import threading
import time
from pathlib import Path
from typing import Any, Self

from sandbox.live.tour import Tour
from sandbox.live.world import World
from sandbox.servers.web import Answer, Call, WebServer

PORT = 8620
PAGE = Path(__file__).parent / "page"
FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/live.css": ("live.css", "text/css; charset=utf-8"),
    "/live.js": ("live.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
HEADERS = {
    # No address but this page's own is ever asked.
    "content-security-policy": "default-src 'self'; frame-ancestors 'none'",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
}
FRESH_SECONDS = 0.35
"""However many windows are open, the cloud is read so often at most."""


class LivePage:
    """Serves a world until it is closed."""

    def __init__(self, world: World, port: int = PORT) -> None:
        self.world = world
        self.tour = Tour(world)
        self._read_at = float("-inf")
        self._finished = 0
        self._figures: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._server = _server(self.respond, port)
        self.url = self._server.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.tour.stop()
        self._server.stop()
        self.world.close()

    def respond(self, call: Call) -> Answer:
        """Answer one call of the browser."""
        if call.headers.get("host") != self.url.removeprefix("http://"):
            # Another name that leads here is another site.
            return _error(403, "not from here")
        if call.method == "GET" and call.path in FILES:
            name, kind = FILES[call.path]
            headers = HEADERS | {"content-type": kind}
            return Answer(200, raw=(PAGE / name).read_bytes(), headers=headers)
        if call.method == "GET" and call.path == "/state":
            return Answer(200, self.state(), HEADERS)
        if call.method == "POST" and call.path == "/do":
            # A form of another site could not send this type.
            if call.headers.get("content-type") != "application/json":
                return _error(415, "JSON is needed")
            return self._do(call)
        return _error(404, "no such path")

    def state(self) -> dict[str, Any]:
        """Everything on the page; figures are read anew after each action."""
        with self._lock:
            is_old = time.monotonic() - self._read_at >= FRESH_SECONDS
            if is_old or self._finished != self.world.finished:
                self._finished = self.world.finished
                self._read_at = time.monotonic()
                self._figures = self.world.figures()
            figures = self._figures
        return figures | self.world.controls() | {"tour": self.tour.state()}

    def _do(self, call: Call) -> Answer:
        try:
            asked = call.json()
            action, value = asked["action"], asked.get("value")
            if action == "tour":
                self.tour.start()
            elif action == "stop":
                self.tour.stop()
            elif self.tour.running:
                return _error(409, "the tour is running")
            else:
                self.world.submit(action, value)
        except (ValueError, LookupError, TypeError, AttributeError):
            return _error(400, "no such action")
        return Answer(202, {}, HEADERS)


def _error(status: int, text: str) -> Answer:
    return Answer(status, {"error": text}, HEADERS)


def _server(respond: Any, port: int) -> WebServer:
    """On this port, or on a free one where it is taken."""
    try:
        return WebServer(respond, port)
    except OSError:
        return WebServer(respond, 0)
