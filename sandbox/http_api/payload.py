"""Payload format 2.0: an HTTP request as an event, and a function's answer as HTTP.

Amazon API Gateway Developer Guide, "Create AWS Lambda proxy integrations for HTTP APIs
in API Gateway".
"""

import base64
import binascii
import json
import re
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from sandbox.cloudformation.settings import ApiSettings, Route
from sandbox.cloudformation.template import ACCOUNT

_TEXT = re.compile(
    r"(text/.*|application/(json|javascript|xml|.*\+json|.*\+xml))\s*(;.*)?", re.I
)
# The connection is between the client and the gateway.
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "upgrade"}


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came; `target` is path and query."""

    method: str
    target: str
    headers: Iterable[tuple[str, str]]
    body: bytes
    source_ip: str = "127.0.0.1"
    request_id: str = field(default_factory=lambda: uuid.uuid4().hex[:15] + "=")

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back to the client, cookies already among the headers."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


def own_answer(status: int, message: str) -> Answer:
    """An answer of API Gateway itself."""
    body = json.dumps({"message": message}, separators=(",", ":")).encode()
    return Answer(status, [("Content-Type", "application/json")], body)


def event_of(
    request: Request,
    route: Route,
    path_parameters: Mapping[str, str],
    api: ApiSettings,
    now: float,
) -> dict[str, Any]:
    """The event a request becomes; `now` is its arrival in epoch seconds."""
    headers, cookies = _headers(request.headers)
    query = request.target.partition("?")[2]
    host = headers.get("host", "")
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route.key,
        "rawPath": request.path,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": api.api_id,
            "domainName": host,
            "domainPrefix": host.partition(".")[0],
            "http": {
                "method": request.method,
                "path": request.path,
                "protocol": "HTTP/1.1",
                "sourceIp": request.source_ip,
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": request.request_id,
            "routeKey": route.key,
            "stage": api.stage,
            "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
            "timeEpoch": int(now * 1000),
        },
    }
    if cookies:
        event["cookies"] = cookies
    if query:
        event["queryStringParameters"] = _query(query)
    if path_parameters:
        event["pathParameters"] = dict(path_parameters)
    return event | _body(request.body, headers)


def answer_of(payload: bytes) -> Answer:
    """Without a statusCode the answer is a 200's body; a malformed one is a 500."""
    try:
        content = json.loads(payload)
        if isinstance(content, dict) and "statusCode" in content:
            return _described(content)
    except (TypeError, ValueError, AttributeError, binascii.Error):
        return own_answer(500, "Internal Server Error")
    body = content.encode() if isinstance(content, str) else payload
    return Answer(200, [("Content-Type", "application/json")], body)


def _described(content: Mapping[str, Any]) -> Answer:
    body = content.get("body")
    if body is None:
        body = ""
    if not isinstance(body, str):
        raise TypeError("the body is not a string")
    headers = [
        (name, str(value).lower() if isinstance(value, bool) else str(value))
        for name, value in (content.get("headers") or {}).items()
        if name.lower() not in {"content-length", *_HOP_BY_HOP}
    ]
    if not any(name.lower() == "content-type" for name, _ in headers):
        headers.append(("Content-Type", "text/plain;charset=UTF-8"))
    headers += [("Set-Cookie", str(cookie)) for cookie in content.get("cookies") or ()]
    if any("\r" in value or "\n" in value for _, value in headers):
        raise ValueError("a header has a line break")
    encoded = content.get("isBase64Encoded") is True
    status = int(content["statusCode"])
    return Answer(status, headers, base64.b64decode(body) if encoded else body.encode())


def _headers(given: Iterable[tuple[str, str]]) -> tuple[dict[str, str], list[str]]:
    headers: dict[str, str] = {}
    cookies: list[str] = []
    for name, value in given:
        lowered = name.lower()
        if lowered == "cookie":
            cookies += [cookie.strip() for cookie in value.split(";")]
        elif lowered not in _HOP_BY_HOP:
            known = headers.get(lowered)
            headers[lowered] = value if known is None else f"{known},{value}"
    headers.setdefault("x-forwarded-for", "127.0.0.1")
    headers.setdefault("x-forwarded-port", "443")
    headers.setdefault("x-forwarded-proto", "https")
    return headers, cookies


def _query(query: str) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        known = parameters.get(name)
        parameters[name] = value if known is None else f"{known},{value}"
    return parameters


def _body(body: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
    if not body:
        return {"isBase64Encoded": False}
    plain = "content-encoding" not in headers
    if plain and _TEXT.fullmatch(headers.get("content-type", "text/plain")):
        try:
            return {"body": body.decode("utf-8"), "isBase64Encoded": False}
        except UnicodeDecodeError:
            pass
    return {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
