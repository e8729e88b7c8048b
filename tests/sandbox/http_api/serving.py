"""An HTTP API in front of an `invoke`, and answers for it to give."""

import contextlib
import http.client
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from sandbox.cloudformation.settings import ApiSettings, Route
from sandbox.http_api.server import HttpApi
from sandbox.lambda_runtime.invocation import (
    Invocation,
    Invoke,
)

ROUTES = [
    Route("F", "api", "POST", "/pets"),
    Route("F", "api", "ANY", "/pets/{id}"),
    Route("F", "api", "GET", "/pets/{id}"),
    Route("F", "api", "GET", "/pets/dog/1"),
    Route("F", "api", "GET", "/pets/dog/{id}"),
    Route("F", "api", "GET", "/files/{path+}"),
]


@contextlib.contextmanager
def serving(invoke: Invoke, **settings: Any) -> Iterator[Callable[..., Any]]:
    """An API in front of `invoke`; gives a function that calls it over the wire."""
    wait = settings.pop("integration_seconds", 30)
    clock = settings.pop("clock", time.time)
    api = HttpApi(
        ApiSettings("abcdefghij", **settings),
        ROUTES,
        {"F": invoke},
        integration_seconds=wait,
        clock=clock,
    )
    api.start()
    host = api.url.removeprefix("http://")

    def call(
        method: str = "POST",
        path: str = "/pets",
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPConnection(host, timeout=20)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.headers, response.read()

    try:
        yield call
    finally:
        api.stop()


def echo(payload: bytes) -> Invocation:
    """Answers with the event it got."""
    return Invocation("request", payload)


def answering(content: Any) -> Invoke:
    return lambda payload: Invocation("request", json.dumps(content).encode())


def event_of(answer: tuple[int, Any, bytes]) -> Any:
    assert answer[0] == 200
    return json.loads(answer[2])


def host_of(call: Callable[..., Any]) -> str:
    return str(event_of(call())["headers"]["host"])
