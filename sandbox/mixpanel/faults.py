"""What can go wrong at Mixpanel's Import API, by kind.

A fault before the call is an answer of its own, and nothing is stored; a fault after it
changes the answer to events that were accepted. `LIMITED` and `UNKNOWN` are documented.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from sandbox.servers.web import Answer

_STALL, _SLOW = 60.0, 1.0
_HTML = b"<html><body>error</body></html>"
_HTML_TYPE = {"content-type": "text/html"}
LIMITED = (
    "Project exceeded rate limits. Please retry the request with exponential backoff."
)


def error(code: int, status: str, text: str) -> Answer:
    """An error in Mixpanel's shape."""
    return Answer(code, {"code": code, "error": text, "status": status})


def _html(status: int) -> Answer:
    return Answer(status, raw=_HTML, headers=_HTML_TYPE)


BEFORE: Mapping[str, Answer] = {
    "401": error(401, "Unauthorized", "Invalid credentials"),
    # Nothing that is sent to another region arrives, with an error or without one.
    "wrong region": error(401, "Unauthorized", "Invalid credentials"),
    "403 html": _html(403),
    "413": error(
        413,
        "Request Entity Too Large",
        "request exceeds max limit of 2097152 bytes",
    ),
    "429": error(429, "Too Many Requests", LIMITED),
    "429 short": Answer(429, {"error": LIMITED, "status": 0}),
    "429 html": _html(429),
    "500": _html(500),
    "502": _html(502),
    "503": _html(503),
    "504": _html(504),
    "reset before": Answer(0, reset=True),
    "stall before": Answer(0, reset=True, delay=_STALL),
}

WRONG_REGION_SILENT = "wrong region, silent"
"""Answered as if all was well, and nothing is stored."""


def _each_record(change: Callable[[dict[str, Any]], Any]) -> Callable[[Answer], Answer]:
    """The same answer with each failed record in another form."""

    def change_body(answer: Answer) -> Answer:
        body = answer.body
        if not isinstance(body, dict) or not body.get("failed_records"):
            return answer
        changed = [
            change(each) if isinstance(each, dict) else each
            for each in body["failed_records"]
        ]
        return replace(answer, body=body | {"failed_records": changed})

    return change_body


def _failing(
    change: Callable[[dict[str, Any]], dict[str, Any]],
) -> Callable[[Answer], Answer]:
    """The same answer with another body, if it lists failed records."""

    def change_body(answer: Answer) -> Answer:
        body = answer.body
        if not isinstance(body, dict) or not body.get("failed_records"):
            return answer
        return replace(answer, body=change(body))

    return change_body


def _without(key: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda fields: {k: v for k, v in fields.items() if k != key}


AFTER: Mapping[str, Callable[[Answer], Answer]] = {
    "reset after": lambda answer: replace(answer, reset=True),
    "stall": lambda answer: replace(answer, reset=True, delay=_STALL),
    "slow": lambda answer: replace(answer, delay=_SLOW),
    "$insert_id": _each_record(
        lambda each: _without("insert_id")(each) | {"$insert_id": each["insert_id"]}
    ),
    "no index": _each_record(_without("index")),
    "index only": _each_record(lambda each: {"index": each["index"]}),
    "texts": _each_record(lambda each: each["message"]),
    "status number": _failing(lambda body: body | {"status": 0}),
    "no list": _failing(lambda body: body | {"failed_records": None}),
    "no error": _failing(_without("error")),
    "odd index": _each_record(lambda each: each | {"index": each["index"] + 2_000}),
    "odd count": _failing(
        lambda body: body | {"num_records_imported": body["num_records_imported"] + 1}
    ),
}

KINDS = frozenset({*BEFORE, *AFTER, WRONG_REGION_SILENT})
