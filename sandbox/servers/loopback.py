"""What the sandbox's HTTP servers have in common: threads, 127.0.0.1, kept connections.

A caller that is killed or goes away breaks its connection. That is no error of the
server, so nothing is printed; any other error of a handler is.
"""

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class LoopbackServer(ThreadingHTTPServer):
    """Serves in a thread from `start` to `stop`; port 0 takes any free one."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, port: int, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", port), handler)
        self._thread = threading.Thread(
            target=self.serve_forever, args=(0.05,), daemon=True
        )

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.server_address[1]}"

    @property
    def url(self) -> str:
        """Without a slash at the end."""
        return f"http://{self.address}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        # shutdown() would wait for a loop that never started.
        if self._thread.is_alive():
            self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """See above."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class KeepAliveHandler(BaseHTTPRequestHandler):
    """Status, headers and body go out in one packet, and the connection stays."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log no requests."""

    def handle_expect_100(self) -> bool:
        """Answer at once: S3's client waits a second for it before it sends a body."""
        goes_on = super().handle_expect_100()
        self.wfile.flush()
        return goes_on
