"""The wire of Mixpanel's Import API: one request's body, and the reply to it (pure).

Source: Mixpanel docs, "Import Events". With strict=1 a 400 may still have imported most
of the events, so its list of failures is read closely: the index counts, ids only help
where there is none, and unless `sent = imported + failed` nothing is proven.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import orjson

from bridge.errors import CredentialsRejected, RetryableError, TooLarge
from bridge.transport import Reply

EVENTS_PER_CALL = 2_000
BYTES_PER_CALL = 9_500_000
"""The limit is 10 MB before compression; brackets and commas need some of it."""

BYTES_PER_EVENT = 1_000_000
"""An event must be below 1 MB; so a larger limit of requests is never needed."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why Mixpanel refused one event; `message` may quote what the event holds."""

    field: str
    message: str


@dataclass(frozen=True, slots=True)
class ImportReply:
    """Refused events by index; `vague` if it is not proven that these are all.

    `told` is what Mixpanel says of the request as a whole.
    """

    rejected: Mapping[int, Failure] = field(default_factory=dict)
    vague: bool = False
    told: str = ""


def write_body(lines: Sequence[bytes]) -> bytes:
    """A JSON array of events, each JSON already."""
    return b"[" + b",".join(lines) + b"]"


def read_reply(reply: Reply, lines: Sequence[bytes]) -> ImportReply:
    """Judge the answer to these events.

    Raises `CredentialsRejected`, `TooLarge` or `RetryableError`.
    """
    if reply.status == 413:
        raise TooLarge("mixpanel_too_large", "Mixpanel refuses the size of the request")
    body = _body(reply.body)
    # A 403 in HTML is an edge of the network's and says nothing of the login.
    if reply.status == 401 or (reply.status in {403, 404} and body):
        raise CredentialsRejected(
            f"mixpanel_{reply.status}",
            f"Mixpanel refuses the credentials, or the region is another "
            f"(status {reply.status})",
        )
    if reply.status == 400:
        return _partial(body, lines)
    if reply.status == 200:
        return _complete(body, len(lines))
    raise RetryableError(
        f"mixpanel_{reply.status}", f"Mixpanel answered with status {reply.status}"
    )


def _body(content: bytes) -> Mapping[str, Any]:
    """An edge may answer with HTML."""
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}


def _complete(body: Mapping[str, Any], sent: int) -> ImportReply:
    """A 200 counts for what it proves: fewer than were sent, and some are missing.

    More than were sent is odd, but leaves none out; a 200 says that all were taken.
    """
    imported = body.get("num_records_imported")
    if not _is_count(imported):
        raise RetryableError("mixpanel_unclear", "Mixpanel's 200 has no usable count")
    return ImportReply(vague=imported < sent)


def _partial(body: Mapping[str, Any], lines: Sequence[bytes]) -> ImportReply:
    imported = body.get("num_records_imported")
    failed = body.get("failed_records")
    records = failed if isinstance(failed, list) else []
    rejected: dict[int, Failure] = {}
    told = [str(body.get("error") or "")]
    by_id: dict[str, int | None] | None = None
    named = True
    for record in records:
        if not isinstance(record, dict):
            told.insert(0, str(record))
            named = False
            continue
        index = record.get("index")
        insert_id = str(record.get("insert_id") or record.get("$insert_id") or "")
        if index is None:
            by_id = _unique_ids(lines) if by_id is None else by_id
            index = by_id.get(insert_id)
        if not _is_count(index) or index >= len(lines):
            named = False
            continue
        # The id is the cross-check: an index that means another event proves nothing.
        if insert_id not in {"", _insert_id(lines[index])}:
            named = False
            continue
        rejected[index] = Failure(
            str(record.get("field") or ""), str(record.get("message") or "")
        )
    proven = (
        named
        and rejected
        and _is_count(imported)
        and imported + len(rejected) == len(lines)
    )
    return ImportReply(rejected, vague=not proven, told=told[0])


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _insert_id(line: bytes) -> str:
    """The id that a failure may name; looked for only when one does."""
    return str(orjson.loads(line)["properties"]["$insert_id"])


def _unique_ids(lines: Sequence[bytes]) -> dict[str, int | None]:
    """Positions of the ids that stand once in the request."""
    seen: dict[str, int | None] = {}
    for index, insert_id in enumerate(map(_insert_id, lines)):
        seen[insert_id] = None if insert_id in seen else index
    return seen
