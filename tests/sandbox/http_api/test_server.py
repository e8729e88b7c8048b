"""The HTTP API: its routes, its limits, and the answers that it gives by itself."""

import contextlib
import http.client
import json
import threading

import pytest

from sandbox.cloud import Cloud
from sandbox.http_api.server import BODY_LIMIT, find_route
from sandbox.lambda_runtime.invocation import (
    Invocation,
    RequestTooLarge,
    Throttled,
)
from tests.sandbox.http_api.serving import ROUTES, echo, event_of, host_of, serving


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
        connection = http.client.HTTPConnection(host_of(call), timeout=20)
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


def test_each_route_has_a_throttle_of_its_own() -> None:
    """Amazon API Gateway Developer Guide, "Throttle requests to your HTTP APIs for
    better throughput in API Gateway" (http-api-throttling)."""
    limits = {"POST /pets": (0.001, 1)}
    with serving(echo, rate=0.001, burst=2, limits=limits) as call:
        assert [call("POST", "/pets")[0] for _ in range(2)] == [200, 429]
        other = [call("GET", "/pets/7")[0] for _ in range(3)]
    assert other == [200, 200, 429]


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
