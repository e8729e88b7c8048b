"""The wire of Mixpanel's Import API: one request's body, and the reply to it (pure).

Source: Mixpanel docs, "Import Events". With strict=1 a 400 may still have imported most
of the events, so its list of failures is read closely: the index counts, ids only help
where there is none, and counts that do not add up mean that nothing is proven.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from bridge.errors import CredentialsRefused, RetryableError, TooLarge
from bridge.transport import Reply

EVENTS_PER_CALL = 2_000
BYTES_PER_CALL = 9_500_000
"""The limit is 10 MB before compression; brackets and commas need some of it."""

REFUSING_STATUSES = frozenset({401, 403, 404})


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One event as JSON, with the id that a failure may name."""

    line: bytes
    insert_id: str


@dataclass(frozen=True, slots=True)
class Failure:
    """Why Mixpanel refused one event."""

    field: str
    message: str


@dataclass(frozen=True, slots=True)
class ImportReply:
    """Refused events by index; `vague` if some were and it is not known which."""

    refused: Mapping[int, Failure] = field(default_factory=dict)
    vague: bool = False


def write_body(events: Sequence[Outgoing]) -> bytes:
    """A JSON array."""
    return b"[" + b",".join([event.line for event in events]) + b"]"


def read_reply(reply: Reply, events: Sequence[Outgoing]) -> ImportReply:
    """Judge the answer to `events`.

    Raises `CredentialsRefused`, `TooLarge` or `RetryableError`.
    """
    if reply.status in REFUSING_STATUSES:
        raise CredentialsRefused(
            f"mixpanel_{reply.status}",
            f"Mixpanel refuses the credentials, or the region is another "
            f"(status {reply.status})",
        )
    if reply.status == 413:
        raise TooLarge("mixpanel_too_large", "Mixpanel refuses the size of the request")
    body = _body(reply.body)
    imported = body.get("num_records_imported")
    if reply.status == 200:
        # Fewer than were sent, and no list of failures: nothing says which.
        return ImportReply(vague=isinstance(imported, int) and imported < len(events))
    if reply.status == 400:
        return _partial(body.get("failed_records"), imported, events)
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


def _partial(
    failed: object, imported: object, events: Sequence[Outgoing]
) -> ImportReply:
    refused: dict[int, Failure] = {}
    by_id: dict[str, int] | None = None
    for record in failed if isinstance(failed, list) else []:
        if not isinstance(record, dict):
            return ImportReply(vague=True)
        index = record.get("index")
        if not isinstance(index, int) or isinstance(index, bool):
            if by_id is None:
                by_id = _unique_ids(events)
            named = record.get("insert_id") or record.get("$insert_id")
            index = by_id.get(str(named), -1)
        if not 0 <= index < len(events):
            return ImportReply(vague=True)
        refused[index] = Failure(
            str(record.get("field") or ""), str(record.get("message") or "")
        )
    adds_up = not isinstance(imported, int) or imported + len(refused) == len(events)
    return ImportReply(refused, vague=not refused or not adds_up)


def _unique_ids(events: Sequence[Outgoing]) -> dict[str, int]:
    """Positions of the ids that stand once in the request."""
    seen: dict[str, int] = {}
    for index, event in enumerate(events):
        seen[event.insert_id] = -1 if event.insert_id in seen else index
    return seen
