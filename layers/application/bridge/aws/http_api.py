"""The HTTP API's event and answer (payload format 2.0), as far as we use them.

Source: API Gateway, "Working with AWS Lambda proxy integrations for HTTP APIs".
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bridge.errors import MalformedInput


@dataclass(frozen=True, slots=True)
class Request:
    """One call: raw body, lower-case headers, and the server's clock in ms.

    `route` is the template's, such as `POST /partners/{partner}/cohorts`.
    """

    id: str
    arrived_ms: int
    headers: Mapping[str, str]
    encoded: str
    is_base64: bool
    route: str = ""
    path_parameters: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_event(cls, event: Mapping[str, Any]) -> "Request":
        """Read the event of the function; a missing part is empty."""
        context = event.get("requestContext", {})
        return cls(
            id=str(context.get("requestId", "")),
            arrived_ms=int(context.get("timeEpoch", 0)),
            headers={k.lower(): v for k, v in (event.get("headers") or {}).items()},
            encoded=event.get("body") or "",
            is_base64=bool(event.get("isBase64Encoded")),
            route=str(event.get("routeKey", "")),
            path_parameters=event.get("pathParameters") or {},
        )

    @property
    def authorization(self) -> str | None:
        """The Authorization header."""
        return self.headers.get("authorization")

    def body(self) -> bytes:
        """The bytes of the body; raises `MalformedInput`."""
        try:
            if self.is_base64:
                return base64.b64decode(self.encoded, validate=True)
            return self.encoded.encode()
        except (binascii.Error, UnicodeEncodeError):
            raise MalformedInput("body", "the body cannot be decoded") from None


def answer(status: int, body: Mapping[str, Any]) -> dict[str, Any]:
    """The function's answer."""
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json"},
        "body": json.dumps(body),
    }
