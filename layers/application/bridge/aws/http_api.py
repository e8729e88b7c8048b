"""The HTTP API's event and answer (payload format 2.0), as far as we use them.

Source: API Gateway, "Working with AWS Lambda proxy integrations for HTTP APIs".
"""

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from bridge.errors import BridgeError, MalformedInput, Unverified
from bridge.observability import Metric, count, log_fault, logger
from bridge.reasons import Reason


@dataclass(frozen=True, slots=True)
class Request:
    """One call: encoded body, lower-case headers, and the API's clock in ms.

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
        """Read the function's event; missing parts are empty."""
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

    @property
    def arrived(self) -> datetime:
        """When the API received the call, in UTC."""
        return datetime.fromtimestamp(self.arrived_ms / 1000, UTC)

    def body(self) -> bytes:
        """The bytes of the body; raises `MalformedInput` if they cannot be decoded."""
        try:
            if self.is_base64:
                return base64.b64decode(self.encoded, validate=True)
            return self.encoded.encode()
        except (binascii.Error, UnicodeEncodeError):
            raise MalformedInput(Reason.BODY, "the body cannot be decoded") from None

    def original(self) -> bytes:
        """The bytes of the body or, if they cannot be decoded, the encoded text."""
        try:
            return self.body()
        except MalformedInput:
            return self.encoded.encode("utf-8", "surrogatepass")


class Answer(NamedTuple):
    """Status and JSON body of an answer."""

    status: int
    body: Mapping[str, Any]


def write_answer(answer: Answer) -> dict[str, Any]:
    """The answer as the function returns it."""
    return {
        "statusCode": answer.status,
        "headers": {"content-type": "application/json"},
        "body": json.dumps(answer.body),
    }


def serve(
    event: Mapping[str, Any],
    respond: Callable[[Request], Answer],
    *,
    failure: str,
    deferred: Metric,
    unavailable: Callable[[str], Mapping[str, Any]],
) -> dict[str, Any]:
    """Answer one call with what `respond` returns, or 503 for whatever it raises.

    A 503 counts as `deferred` and is logged as `failure`, without a foreign exception's
    message; `unavailable` is given the route and makes its body. A caller whom nobody
    knows yet is counted apart: it may be a stranger, who must not raise an alarm.
    """
    try:
        answer = respond(Request.from_event(event))
    except Unverified as error:
        deferred = Metric.CALLERS_UNVERIFIED
        logger.warning(failure, reason=error.reason, why=str(error))
    except BridgeError as error:
        logger.error(failure, reason=error.reason, why=str(error))
    except Exception as error:  # noqa: BLE001 - a sender must never see another status
        log_fault(failure, error)
    else:
        return write_answer(answer)
    count(deferred)
    return write_answer(Answer(503, unavailable(str(event.get("routeKey")))))
