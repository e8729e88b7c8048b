"""The HTTP API in front of the functions: routes, payload format 2.0, and its answers.

API Gateway answers for itself when a function cannot, always with a JSON `message`;
callers decide by those statuses, so they are kept to the letter.
"""

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from sandbox.cloudformation.settings import ApiSettings, Route
from sandbox.http_api.payload import Answer, Request, answer_of, event_of, own_answer
from sandbox.lambda_runtime.invocation import Invoke, RequestTooLarge, Throttled
from sandbox.servers.loopback import KeepAliveHandler, LoopbackServer

# Amazon API Gateway Developer Guide, "Quotas for configuring and running an HTTP API".
BODY_LIMIT = 10 * 1024 * 1024
INTEGRATION_SECONDS = 30.0


class _Throttle:
    """A token bucket: `rate` requests a second, `burst` at once; None is no limit."""

    def __init__(self, rate: float | None, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(self._burst)
        self._at = time.monotonic()
        self._lock = threading.Lock()

    def admits(self) -> bool:
        if self._rate is None:
            return True
        with self._lock:
            now = time.monotonic()
            grown = self._tokens + (now - self._at) * self._rate
            self._tokens, self._at = min(grown, self._burst), now
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True


class HttpApi:
    """Serves one API on a loopback port; functions by logical id.

    `clock` gives the time of arrival in a function's event, in epoch seconds.
    """

    def __init__(
        self,
        settings: ApiSettings,
        routes: Sequence[Route],
        functions: Mapping[str, Invoke],
        *,
        port: int = 0,
        integration_seconds: float = INTEGRATION_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._routes = routes
        self._functions = functions
        self._throttles = {
            route.key: _Throttle(*settings.throttling(route.key)) for route in routes
        }
        self._integration_seconds = integration_seconds
        self._clock = clock
        self._integrations = ThreadPoolExecutor(256, "http-api")
        self._server = _Server(port, self)

    @property
    def url(self) -> str:
        """Without a slash at the end and without the stage."""
        return self._server.url

    @property
    def invoke_url(self) -> str:
        """What the paths of the routes follow: with the stage, if it has a name."""
        stage = self._settings.stage
        return self.url if stage == "$default" else f"{self.url}/{stage}"

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        self._server.stop()
        self._integrations.shutdown(wait=False, cancel_futures=True)

    def answer(self, request: Request) -> Answer:
        """What API Gateway would answer, whether or not a function ran."""
        if len(request.body) > BODY_LIMIT:
            return own_answer(413, "Request Entity Too Large")
        path = request.path
        stage = self._settings.stage
        if stage != "$default":
            if not f"{path}/".startswith(f"/{stage}/"):
                return own_answer(404, "Not Found")
            path = path.removeprefix(f"/{stage}") or "/"
        found = find_route(self._routes, request.method, path)
        if found is None:
            return own_answer(404, "Not Found")
        route, parameters = found
        if not self._throttles[route.key].admits():
            return own_answer(429, "Too Many Requests")
        event = event_of(request, route, parameters, self._settings, self._clock())
        future = self._integrations.submit(
            self._functions[route.function], json.dumps(event).encode()
        )
        try:
            invocation = future.result(self._integration_seconds)
        except RequestTooLarge:
            return own_answer(413, "Request Entity Too Large")
        except (Throttled, TimeoutError):
            return own_answer(503, "Service Unavailable")
        if invocation.function_error is not None:
            return own_answer(500, "Internal Server Error")
        return answer_of(invocation.payload)


def find_route(
    routes: Sequence[Route], method: str, path: str
) -> tuple[Route, dict[str, str]] | None:
    """The most specific route and its path parameters.

    Full match, then variables, then greedy variables, then $default (Amazon API Gateway
    Developer Guide, "Create routes for HTTP APIs in API Gateway").
    """
    best: tuple[tuple[bool, list[int], bool], Route, dict[str, str]] | None = None
    for route in routes:
        if route.method not in (method, "ANY") and route.path != "$default":
            continue
        parameters = _match(route.path, path)
        if parameters is None:
            continue
        kinds = [_kind(part) for part in route.path.split("/")]
        rank = (route.path == "$default", kinds, route.method == "ANY")
        if best is None or rank < best[0]:
            best = rank, route, parameters
    return None if best is None else best[1:]


def _kind(part: str) -> int:
    return 2 if part.endswith("+}") else 1 if part.startswith("{") else 0


def _match(pattern: str, path: str) -> dict[str, str] | None:
    if pattern == "$default":
        return {}
    parameters: dict[str, str] = {}
    wanted, given = pattern.split("/"), path.split("/")
    for index, part in enumerate(wanted):
        if part.endswith("+}"):
            rest = "/".join(given[index:])
            return parameters | {part[1:-2]: rest} if rest else None
        if index >= len(given):
            return None
        if part.startswith("{"):
            if not given[index]:
                return None
            parameters[part[1:-1]] = given[index]
        elif part != given[index]:
            return None
    return parameters if len(wanted) == len(given) else None


class _Server(LoopbackServer):
    def __init__(self, port: int, api: HttpApi) -> None:
        self.api = api
        super().__init__(port, _Handler)


class _Handler(KeepAliveHandler):
    server: _Server

    def _serve(self) -> None:
        body = self._body()
        request = Request(
            method=self.command,
            target=self.path,
            headers=self.headers.items(),
            body=body,
            source_ip=str(self.client_address[0]),
        )
        answer = self.server.api.answer(request)
        self.send_response_only(answer.status)
        self.send_header("Date", self.date_time_string())
        for name, value in answer.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Apigw-Requestid", request.request_id)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)
        self.wfile.flush()

    # The base class looks methods up by these names.
    do_GET = do_HEAD = do_POST = do_PUT = _serve  # noqa: N815
    do_PATCH = do_DELETE = do_OPTIONS = _serve  # noqa: N815

    def _body(self) -> bytes:
        """At most one byte over the limit; the rest is read and dropped."""
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return self._chunks()
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(min(length, BODY_LIMIT + 1))
        self._drop(length - len(body))
        return body

    def _chunks(self) -> bytes:
        body = bytearray()
        while size := int(self.rfile.readline().split(b";")[0], 16):
            kept = self.rfile.read(min(size, BODY_LIMIT + 1 - len(body)))
            body += kept
            self._drop(size - len(kept))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return bytes(body)

    def _drop(self, count: int) -> None:
        while count > 0 and (dropped := len(self.rfile.read(min(count, 65_536)))):
            count -= dropped
