"""The HTTP API: payload format 2.0 both ways, routes, and what the gateway says."""

import base64
import contextlib
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sandbox.cloud import Cloud
from sandbox.cloudformation.settings import ApiSettings, Route
from sandbox.http_api.server import BODY_LIMIT, HttpApi, find_route
from sandbox.lambda_runtime.invocation import (
    Invocation,
    Invoke,
    RequestTooLarge,
    Throttled,
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


def test_the_event_has_the_documented_shape() -> None:
    """Amazon API Gateway Developer Guide, "Create AWS Lambda proxy integrations for
    HTTP APIs in API Gateway", payload format 2.0
    (http-api-develop-integrations-lambda)."""
    with serving(echo) as call:
        headers = {
            "Content-Type": "application/json",
            "Cookie": "a=1; b=2",
            "User-Agent": "test",
            "X-Custom": "One",
        }
        event = event_of(call("POST", "/pets?x=1&x=2&y=%20", b'{"a":1}', headers))
    context = event.pop("requestContext")
    given = event.pop("headers")
    assert event == {
        "version": "2.0",
        "routeKey": "POST /pets",
        "rawPath": "/pets",
        "rawQueryString": "x=1&x=2&y=%20",
        "cookies": ["a=1", "b=2"],
        "queryStringParameters": {"x": "1,2", "y": " "},
        "body": '{"a":1}',
        "isBase64Encoded": False,
    }
    assert given["x-custom"] == "One"
    assert given["content-type"] == "application/json"
    assert "cookie" not in given
    assert context["http"] == {
        "method": "POST",
        "path": "/pets",
        "protocol": "HTTP/1.1",
        "sourceIp": "127.0.0.1",
        "userAgent": "test",
    }
    assert context["stage"] == "$default"
    assert context["apiId"] == "abcdefghij"
    assert context["routeKey"] == "POST /pets"
    assert abs(context["timeEpoch"] - time.time() * 1000) < 60_000
    assert time.strptime(context["time"], "%d/%b/%Y:%H:%M:%S +0000")
    assert context["requestId"]


def test_repeated_headers_are_joined_with_commas() -> None:
    """Amazon API Gateway Developer Guide, "Create AWS Lambda proxy integrations for
    HTTP APIs in API Gateway" (http-api-develop-integrations-lambda)."""
    with serving(echo) as call:
        connection = http.client.HTTPConnection(_host(call), timeout=20)
        with contextlib.closing(connection):
            connection.putrequest("POST", "/pets")
            for value in ("a", "b"):
                connection.putheader("X-Twice", value)
            connection.endheaders()
            event = json.loads(connection.getresponse().read())
    assert event["headers"]["x-twice"] == "a,b"


def _host(call: Callable[..., Any]) -> str:
    return str(event_of(call())["headers"]["host"])


@pytest.mark.parametrize(
    ("content_type", "encoded"),
    [
        ("application/json", False),
        ("application/json; charset=utf-8", False),
        ("text/plain", False),
        ("application/vnd.api+json", False),
        ("application/octet-stream", True),
        ("application/x-www-form-urlencoded", True),
    ],
)
def test_the_content_type_decides_on_base64(
    content_type: str, *, encoded: bool
) -> None:
    """Amazon API Gateway Developer Guide, "Create AWS Lambda proxy integrations for
    HTTP APIs in API Gateway", isBase64Encoded
    (http-api-develop-integrations-lambda)."""
    with serving(echo) as call:
        headers = {"Content-Type": content_type}
        event = event_of(call(body=b"a=1", headers=headers))
    assert event["isBase64Encoded"] is encoded
    assert event["body"] == (base64.b64encode(b"a=1").decode() if encoded else "a=1")


def test_a_compressed_body_is_base64() -> None:
    """Amazon API Gateway Developer Guide, "Create AWS Lambda proxy integrations for
    HTTP APIs in API Gateway", isBase64Encoded
    (http-api-develop-integrations-lambda)."""
    with serving(echo) as call:
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        event = event_of(call(body=b"\x1f\x8b", headers=headers))
    assert base64.b64decode(event["body"]) == b"\x1f\x8b"


@pytest.mark.parametrize(
    ("method", "path", "route", "parameters"),
    [
        ("POST", "/pets", "POST /pets", {}),
        ("GET", "/pets", None, None),
        ("GET", "/pets/7", "GET /pets/{id}", {"id": "7"}),
        ("PUT", "/pets/7", "ANY /pets/{id}", {"id": "7"}),
        ("GET", "/pets/dog/1", "GET /pets/dog/1", {}),
        ("GET", "/pets/dog/2", "GET /pets/dog/{id}", {"id": "2"}),
        ("GET", "/files/a/b", "GET /files/{path+}", {"path": "a/b"}),
        ("POST", "/pets/", "ANY /pets/{id}", None),
        ("GET", "/elsewhere", None, None),
    ],
)
def test_the_most_specific_route_wins(
    method: str, path: str, route: str | None, parameters: dict[str, str] | None
) -> None:
    """Amazon API Gateway Developer Guide, "Create routes for HTTP APIs in API Gateway"
    (http-api-develop-routes)."""
    found = find_route(ROUTES, method, path)
    if route is None or parameters is None:
        assert found is None
    else:
        assert found is not None
        assert f"{found[0].method} {found[0].path}" == route
        assert found[1] == parameters


def test_an_unknown_route_is_not_found() -> None:
    """Amazon API Gateway Developer Guide, "Create routes for HTTP APIs in API Gateway":
    no matching route returns {"message":"Not Found"} (http-api-develop-routes)."""
    with serving(echo) as call:
        status, headers, body = call("GET", "/elsewhere")
    assert (status, body) == (404, b'{"message":"Not Found"}')
    assert headers["Content-Type"] == "application/json"


def test_an_answer_with_a_status_code_is_taken_by_the_letter() -> None:
    """Amazon API Gateway Developer Guide, "Create AWS Lambda proxy integrations for
    HTTP APIs in API Gateway", "Lambda function response for format 2.0"
    (http-api-develop-integrations-lambda)."""
    content = {
        "statusCode": 201,
        "headers": {"X-A": "b", "Content-Type": "text/csv"},
        "cookies": ["c=1", "d=2"],
        "body": base64.b64encode(b"a,b").decode(),
        "isBase64Encoded": True,
    }
    with serving(answering(content)) as call:
        status, headers, body = call()
    assert (status, body) == (201, b"a,b")
    assert headers["X-A"] == "b"
    assert headers["Content-Type"] == "text/csv"
    assert headers.get_all("Set-Cookie") == ["c=1", "d=2"]


@pytest.mark.parametrize(
    ("content", "body"),
    [
        ({"a": 1}, b'{"a": 1}'),
        ("hello", b"hello"),
        (None, b"null"),
    ],
)
def test_an_answer_without_a_status_code_is_the_body_of_a_200(
    content: Any, body: bytes
) -> None:
    """Amazon API Gateway Developer Guide, "Create AWS Lambda proxy integrations for
    HTTP APIs in API Gateway", "Lambda function response for format 2.0"
    (http-api-develop-integrations-lambda)."""
    with serving(answering(content)) as call:
        status, headers, received = call()
    assert (status, received) == (200, body)
    assert headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    "content",
    [
        {"statusCode": "many"},
        {"statusCode": 200, "body": {"a": 1}},
        {"statusCode": 200, "headers": ["a"]},
    ],
)
def test_a_malformed_answer_is_an_internal_error(content: Any) -> None:
    """Amazon API Gateway Developer Guide, "Create AWS Lambda proxy integrations for
    HTTP APIs in API Gateway" (http-api-develop-integrations-lambda)."""
    with serving(answering(content)) as call:
        status, _, body = call()
    assert (status, body) == (500, b'{"message":"Internal Server Error"}')


def test_a_function_error_is_an_internal_error() -> None:
    """Amazon API Gateway Developer Guide, "Troubleshooting issues with HTTP API Lambda
    integrations" (http-api-troubleshooting-lambda)."""
    with serving(lambda payload: Invocation("r", b"{}", "Unhandled")) as call:
        status, _, body = call()
    assert (status, body) == (500, b'{"message":"Internal Server Error"}')


def test_an_integration_that_takes_too_long_is_unavailable() -> None:
    """Amazon API Gateway Developer Guide, "Quotas for configuring and running an HTTP
    API", maximum integration timeout 30 seconds (http-api-quotas)."""
    released = threading.Event()

    def slow(payload: bytes) -> Invocation:
        released.wait(10)
        return Invocation("request", b"null")

    with serving(slow, integration_seconds=0.2) as call:
        status, _, body = call()
        released.set()
    assert (status, body) == (503, b'{"message":"Service Unavailable"}')


@pytest.mark.parametrize(
    ("refusal", "status", "message"),
    [
        (Throttled(), 503, "Service Unavailable"),
        (RequestTooLarge(), 413, "Request Entity Too Large"),
    ],
)
def test_what_lambda_refuses_has_a_status_of_its_own(
    refusal: Exception, status: int, message: str
) -> None:
    """AWS Lambda Developer Guide, "Lambda quotas": 6 MB a request; Amazon API Gateway
    Developer Guide, "Troubleshooting issues with HTTP API Lambda integrations"."""

    def refusing(payload: bytes) -> Invocation:
        raise refusal

    with serving(refusing) as call:
        answer = call()
    assert answer[0] == status
    assert json.loads(answer[2]) == {"message": message}


@pytest.mark.parametrize("extra", [1, 5_000_000])
def test_a_body_over_ten_megabytes_is_refused(extra: int) -> None:
    """Amazon API Gateway Developer Guide, "Quotas for configuring and running an HTTP
    API", payload size 10 MB (http-api-quotas)."""
    with serving(echo) as call:
        status, _, body = call(body=b"x" * (BODY_LIMIT + extra))
    assert (status, body) == (413, b'{"message":"Request Entity Too Large"}')


def test_a_chunked_body_is_put_together() -> None:
    """Amazon API Gateway Developer Guide, "Create AWS Lambda proxy integrations for
    HTTP APIs in API Gateway" (http-api-develop-integrations-lambda)."""
    with serving(echo) as call:
        connection = http.client.HTTPConnection(_host(call), timeout=20)
        with contextlib.closing(connection):
            parts = iter([b"one ", b"two"])
            connection.request("POST", "/pets", parts, encode_chunked=True)
            event = json.loads(connection.getresponse().read())
    assert event["body"] == "one two"


def test_beyond_the_throttle_requests_are_too_many() -> None:
    """Amazon API Gateway Developer Guide, "Throttle requests to your HTTP APIs for
    better throughput in API Gateway" (http-api-throttling)."""
    with serving(echo, rate=0.001, burst=2) as call:
        statuses = [call()[0] for _ in range(3)]
        body = call()[2]
    assert statuses == [200, 200, 429]
    assert body == b'{"message":"Too Many Requests"}'


def test_a_named_stage_is_the_first_part_of_the_path() -> None:
    """Amazon API Gateway Developer Guide, "Manage HTTP API stages"
    (http-api-stages)."""
    with serving(echo, stage="live") as call:
        event = event_of(call("POST", "/live/pets"))
        assert call("POST", "/pets")[0] == 404
    assert event["rawPath"] == "/live/pets"
    assert event["requestContext"]["stage"] == "live"


def test_a_request_runs_the_real_handler(cloud: Cloud) -> None:
    """Amazon API Gateway Developer Guide, "Create AWS Lambda proxy integrations for
    HTTP APIs in API Gateway" (http-api-develop-integrations-lambda)."""
    host = cloud.description["api_url"].removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=20)
    with contextlib.closing(connection):
        # Two requests on one connection: it is kept alive.
        for body, status in (
            (b'{"answer": {"statusCode": 204}}', 204),
            (b"raise", 500),
        ):
            connection.request("POST", "/probe", body, {"Content-Type": "text/plain"})
            response = connection.getresponse()
            response.read()
            assert response.status == status
        connection.request("GET", "/items/7")
        event = json.loads(connection.getresponse().read())
    assert event["pathParameters"] == {"id": "7"}
    assert event["routeKey"] == "ANY /items/{id}"


def test_an_event_over_six_megabytes_is_refused(cloud: Cloud) -> None:
    """AWS Lambda Developer Guide, "Lambda quotas": invocation payload 6 MB
    (gettingstarted-limits)."""
    host = cloud.description["api_url"].removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=20)
    with contextlib.closing(connection):
        connection.request("POST", "/probe", b"x" * 6_500_000)
        response = connection.getresponse()
        assert response.status == 413
        assert response.read() == b'{"message":"Request Entity Too Large"}'


def test_the_clock_of_the_api_can_be_set() -> None:
    """A switch of the sandbox: syncs of a day then need not take one."""
    with serving(echo, clock=lambda: 1_800_000_000.5) as call:
        context = event_of(call())["requestContext"]
    assert context["timeEpoch"] == 1_800_000_000_500
    assert context["time"] == "15/Jan/2027:08:00:00 +0000"
