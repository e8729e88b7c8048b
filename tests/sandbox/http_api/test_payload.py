"""Payload format 2.0: an HTTP request as an event, an answer as a response."""

import base64
import contextlib
import http.client
import json
import time
from typing import Any

import pytest

from tests.sandbox.http_api.serving import answering, echo, event_of, host_of, serving


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
        connection = http.client.HTTPConnection(host_of(call), timeout=20)
        with contextlib.closing(connection):
            connection.putrequest("POST", "/pets")
            for value in ("a", "b"):
                connection.putheader("X-Twice", value)
            connection.endheaders()
            event = json.loads(connection.getresponse().read())
    assert event["headers"]["x-twice"] == "a,b"


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
