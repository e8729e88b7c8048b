"""The Lambda Runtime API, as one execution environment sees it.

Each environment has a port of its own: the API has no field that says which process is
asking, and a time-out or an exit must be charged to the event that process holds.
"""

import json
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Literal

from sandbox.lambda_runtime.invocation import SYNCHRONOUS_PAYLOAD_LIMIT
from sandbox.servers.loopback import KeepAliveHandler, LoopbackServer

_VERSION = "/2018-06-01/runtime"


@dataclass(frozen=True, slots=True)
class Event:
    """What `invocation/next` hands out; `deadline` is in epoch milliseconds."""

    request_id: str
    payload: bytes
    deadline: int
    function_arn: str


@dataclass(frozen=True, slots=True)
class Report:
    """What the runtime said, or what became of its process."""

    kind: Literal["ready", "response", "error", "too large", "init error", "exit"]
    request_id: str = ""
    payload: bytes = b""
    exit_code: int = 0


class RuntimeApi:
    """Serves one runtime client: `events` go in, `reports` come out."""

    def __init__(self) -> None:
        self.events: SimpleQueue[Event | None] = SimpleQueue()
        self.reports: SimpleQueue[Report] = SimpleQueue()
        self._ready = False
        self._server = _Server(self)
        self._server.start()
        self.address = self._server.address

    def close(self) -> None:
        # Frees the thread that holds a `next` call open.
        self.events.put(None)
        self._server.stop()

    def next_event(self) -> Event | None:
        if not self._ready:
            self._ready = True
            self.reports.put(Report("ready"))
        return self.events.get()


class _Server(LoopbackServer):
    def __init__(self, api: RuntimeApi) -> None:
        self.api = api
        super().__init__(0, _Handler)


class _Handler(KeepAliveHandler):
    server: _Server

    def do_GET(self) -> None:
        if self.path != f"{_VERSION}/invocation/next":
            self._answer(404, b"{}")
            return
        event = self.server.api.next_event()
        if event is None:
            self.close_connection = True
            return
        self._answer(
            200,
            event.payload,
            {
                "Lambda-Runtime-Aws-Request-Id": event.request_id,
                "Lambda-Runtime-Deadline-Ms": str(event.deadline),
                "Lambda-Runtime-Invoked-Function-Arn": event.function_arn,
            },
        )

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        reports = self.server.api.reports
        match self.path.removeprefix(_VERSION).strip("/").split("/"):
            case ["init", "error"]:
                reports.put(Report("init error", payload=body))
            case ["invocation", request_id, "error"]:
                reports.put(Report("error", request_id, body))
            case ["invocation", request_id, "response"]:
                if len(body) > SYNCHRONOUS_PAYLOAD_LIMIT:
                    reports.put(Report("too large", request_id, _too_large()))
                    self._answer(413, b'{"errorType":"RequestEntityTooLarge"}')
                    return
                reports.put(Report("response", request_id, body))
            case _:
                self._answer(404, b"{}")
                return
        self._answer(202, b'{"status":"OK"}')

    def _answer(
        self, status: int, body: bytes, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response_only(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


def _too_large() -> bytes:
    return json.dumps(
        {
            "errorType": "Function.ResponseSizeTooLarge",
            "errorMessage": "Response payload size exceeded maximum allowed payload "
            f"size ({SYNCHRONOUS_PAYLOAD_LIMIT} bytes).",
        }
    ).encode()
