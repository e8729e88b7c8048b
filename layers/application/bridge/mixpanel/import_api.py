"""The wire of Mixpanel's Import API: the body of a request, and its reply (pure).

Source: Mixpanel docs, "Import Events". With strict=1 a 400 may still have imported most
of the events, so its list of failures is checked: the index names the event, the id
only where there is no index, and unless `sent = imported + failed` nothing is proven.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import orjson

from bridge.errors import CredentialsRejected, RetryableError, TooLarge
from bridge.reasons import Reason
from bridge.transport import Reply

EVENTS_PER_CALL = 2_000
BYTES_PER_CALL = 9_500_000
"""Mixpanel takes 10 MB before compression; brackets and commas need some of it."""

BYTES_PER_EVENT = 1_000_000
"""An event must be smaller than 1 MB."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why Mixpanel rejected one event; `message` may quote the event."""

    field: str
    message: str


@dataclass(frozen=True, slots=True)
class ImportReply:
    """The rejected events by index; `vague` if there may be others.

    `error` is Mixpanel's text about the request as a whole.
    """

    rejected: Mapping[int, Failure] = field(default_factory=dict)
    vague: bool = False
    error: str = ""


def write_body(lines: Sequence[bytes]) -> bytes:
    """A JSON array of events that are JSON already."""
    return b"[" + b",".join(lines) + b"]"


def read_reply(reply: Reply, lines: Sequence[bytes]) -> ImportReply:
    """Read the answer to a request with these events.

    Raises `CredentialsRejected`, `TooLarge` or `RetryableError`.
    """
    if reply.status == 413:
        raise TooLarge(
            Reason.MIXPANEL_TOO_LARGE, "Mixpanel rejects the size of the request"
        )
    body = _body(reply.body)
    # A 403 in HTML comes from a proxy at the edge and says nothing about the login.
    if reply.status == 401 or (reply.status in {403, 404} and body):
        raise CredentialsRejected(
            f"mixpanel_{reply.status}",
            f"Mixpanel rejects the credentials, or the region is wrong "
            f"(status {reply.status})",
        )
    if reply.status == 400:
        return _partial(body, lines)
    if reply.status == 200:
        # Its list of failures, if it has one, is as good as that of a 400.
        return _partial(body, lines) if _failed(body) else _complete(body, len(lines))
    raise RetryableError(
        f"mixpanel_{reply.status}", f"Mixpanel answered with status {reply.status}"
    )


def _body(content: bytes) -> Mapping[str, Any]:
    """The JSON object of the answer; empty for HTML, which a proxy may send."""
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}


def _complete(body: Mapping[str, Any], sent: int) -> ImportReply:
    """Compare the count of a 200 with the events sent: with fewer, some are missing.

    A count above that is odd, but no event is missing.
    """
    imported = body.get("num_records_imported")
    if not _is_count(imported):
        raise RetryableError(
            Reason.MIXPANEL_UNCLEAR, "Mixpanel's 200 has no usable count"
        )
    return ImportReply(vague=imported < sent)


def _failed(body: Mapping[str, Any]) -> list[Any]:
    """The list of failures; empty if there is none."""
    failed = body.get("failed_records")
    return failed if isinstance(failed, list) else []


def _partial(body: Mapping[str, Any], lines: Sequence[bytes]) -> ImportReply:
    imported = body.get("num_records_imported")
    rejected: dict[int, Failure] = {}
    errors = [str(body.get("error") or "")]
    by_id: dict[str, int | None] | None = None
    all_named = True
    for record in _failed(body):
        if not isinstance(record, dict):
            errors.insert(0, str(record))
            all_named = False
            continue
        index = record.get("index")
        insert_id = str(record.get("insert_id") or record.get("$insert_id") or "")
        if index is None:
            by_id = _unique_ids(lines) if by_id is None else by_id
            index = by_id.get(insert_id)
        if not _is_count(index) or index >= len(lines):
            all_named = False
            continue
        # The id is a cross-check: an index that points to another event proves nothing.
        if insert_id not in {"", _insert_id(lines[index])}:
            all_named = False
            continue
        rejected[index] = Failure(
            str(record.get("field") or ""), str(record.get("message") or "")
        )
    proven = (
        all_named
        and rejected
        and _is_count(imported)
        and imported + len(rejected) == len(lines)
    )
    return ImportReply(rejected, vague=not proven, error=errors[0])


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _insert_id(line: bytes) -> str:
    """The `$insert_id` of a line, parsed only where a failure is matched to it."""
    return str(orjson.loads(line)["properties"]["$insert_id"])


def _unique_ids(lines: Sequence[bytes]) -> dict[str, int | None]:
    """The index of each id in the request; None for one that occurs twice."""
    seen: dict[str, int | None] = {}
    for index, insert_id in enumerate(map(_insert_id, lines)):
        seen[insert_id] = None if insert_id in seen else index
    return seen
