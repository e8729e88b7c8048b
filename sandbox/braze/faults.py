"""What can go wrong at Braze, by kind.

A fault before the call is an answer of its own and nothing is written; a fault after it
changes the answer to a call that was carried out.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from sandbox.servers.web import Answer

_STALL, _SLOW = 60.0, 1.0
_HTML = b"<html><body>upstream error</body></html>"
_LIMITED = {"message": "Rate limit exceeded"}
_EMPTY_HEADERS = {f"x-ratelimit-{n}": "" for n in ("limit", "remaining", "reset")}

BEFORE: Mapping[str, Answer] = {
    "401": Answer(401, {"message": "Invalid API key"}, _EMPTY_HEADERS),
    "403": Answer(403, {"message": "Access Denied"}),
    "413": Answer(413, {"message": "Request Entity Too Large"}),
    "423": Answer(423, {"message": "Resource locked"}),
    "429": Answer(429, _LIMITED, {"x-ratelimit-retry-after": "1"}),
    "429 hour": Answer(429, _LIMITED, {"x-ratelimit-retry-after": "3600"}),
    "429 retry-after": Answer(429, _LIMITED, {"retry-after": "1"}),
    "429 reset": Answer(429, _LIMITED, {"x-ratelimit-reset": "1"}),
    "429 bare": Answer(429, _LIMITED),
    "500": Answer(500, raw=_HTML),
    "502": Answer(502, raw=_HTML),
    "503": Answer(503, raw=_HTML),
    "504": Answer(504, raw=_HTML),
    "reset before": Answer(0, reset=True),
    "stall before": Answer(0, reset=True, delay=_STALL),
}


def _instead(**changes: Any) -> Callable[[Answer], Answer]:
    return lambda answer: replace(answer, **changes)


def _with_errors(errors: Callable[[list[Any]], Any]) -> Callable[[Answer], Answer]:
    """The same answer with its `errors` in another form."""

    def change(answer: Answer) -> Answer:
        body = answer.body if isinstance(answer.body, dict) else {}
        listed = body.get("errors") or [{"type": "it is odd", "index": 0}]
        return replace(answer, body=body | {"errors": errors(listed)})

    return change


AFTER: Mapping[str, Callable[[Answer], Answer]] = {
    "reset after": _instead(reset=True),
    "stall": _instead(reset=True, delay=_STALL),
    "slow": _instead(delay=_SLOW),
    "empty": _instead(raw=b""),
    "{}": _instead(body={}),
    "html": _instead(raw=_HTML),
    "queued": _instead(status=202, body={"message": "queued"}),
    "fatal message": _instead(body={"message": "something went wrong"}),
    "errors null": _with_errors(lambda _: None),
    "errors empty": _with_errors(lambda _: []),
    "errors text": _with_errors(lambda listed: [error["type"] for error in listed]),
    "errors one text": _with_errors(lambda listed: listed[0]["type"]),
    "errors no index": _with_errors(
        lambda listed: [{"type": error["type"]} for error in listed]
    ),
}

KINDS = frozenset({*BEFORE, *AFTER})
