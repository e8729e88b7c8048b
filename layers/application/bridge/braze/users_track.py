"""The wire of Braze's users/track: membership as a custom attribute (pure).

Source: Braze docs, "POST: Track users" and "User attributes object". A 2xx means
queued; `errors` lists the objects that were rejected, mostly by index.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bridge.errors import (
    CredentialsRejected,
    Rejected,
    RetryableError,
    TooLarge,
)
from bridge.reasons import Reason
from bridge.transport import Reply

OBJECTS_PER_CALL = 75
"""The total over all arrays of one request."""

REJECTING_STATUSES = frozenset({401, 403, 404, 415})
"""Key, permission, path, media type: every other call would fail in the same way."""

ACCEPTING_MESSAGES = frozenset({"success", "queued"})


def array_operation(value: str, present: bool) -> dict[str, object]:
    """The operation that adds a value to an array attribute, or removes it."""
    return {"add" if present else "remove": [value]}


def attributes_object(
    user: Mapping[str, object], attribute: str, value: object
) -> dict[str, object]:
    """One attributes object that never creates a user (`_update_existing_only`)."""
    return {attribute: value, **user, "_update_existing_only": True}


@dataclass(frozen=True, slots=True)
class TrackReply:
    """The answer to one request: by index, the code of each rejected object.

    With `vague` an object was rejected and Braze does not say which.
    """

    rejected: Mapping[int, str]
    vague: bool = False


def read_reply(
    reply: Reply, objects: int, credentials: str = "the REST key"
) -> TrackReply:
    """Read the answer to `objects` attributes objects.

    Raises `CredentialsRejected`, `TooLarge`, `Rejected` (the request as a whole) or
    `RetryableError`. No text of Braze's enters an error, for its 401 echoes the key
    that it rejects; the error names that key by `credentials`.
    """
    if reply.status in REJECTING_STATUSES:
        raise CredentialsRejected(
            f"braze_{reply.status}",
            f"Braze rejects {credentials} or its permissions (status {reply.status})",
        )
    body = _body(reply.body)
    track_reply = _errors(body.get("errors"), objects)
    if 200 <= reply.status < 300:
        message = body.get("message") or body.get("error")
        if isinstance(message, str) and message not in ACCEPTING_MESSAGES:
            raise RetryableError(
                Reason.BRAZE_MESSAGE, "Braze answered 2xx with a failure"
            )
        return track_reply
    if reply.status == 413 or body.get("message") == "Max Input Length Exceeded":
        raise TooLarge(Reason.BRAZE_TOO_LARGE, "Braze rejects the size of the request")
    if reply.status == 400 and track_reply.rejected and not track_reply.vague:
        return track_reply
    if reply.status == 400:
        raise Rejected(Reason.BRAZE_400, "Braze rejects the request (status 400)")
    raise RetryableError(
        f"braze_{reply.status}", f"Braze answered with status {reply.status}"
    )


def _body(content: bytes) -> Mapping[str, object]:
    """The JSON object of the answer; empty if there is none, and the status decides."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _errors(errors: object, objects: int) -> TrackReply:
    rejected: dict[int, str] = {}
    vague = False
    for error in errors if isinstance(errors, list) else []:
        index = error.get("index") if isinstance(error, dict) else None
        ours = isinstance(error, dict) and (
            error.get("input_array", "attributes") == "attributes"
        )
        if isinstance(index, int) and 0 <= index < objects and ours:
            rejected[index] = _code(error.get("type"))
        else:
            vague = True
    return TrackReply(rejected, vague)


def _code(kind: object) -> str:
    """Braze's error code, fit for a metric; a fixed one if Braze sent a sentence."""
    text = kind if isinstance(kind, str) else ""
    is_code = text.isupper() and text.replace("_", "").isalnum() and len(text) <= 60
    return f"braze_{text.lower()}" if is_code else Reason.BRAZE_REJECTED


def read_export(reply: Reply) -> Sequence[Mapping[str, object]]:
    """The profiles in an answer of users/export/ids; raises as `read_reply`."""
    read_reply(reply, 0)
    users = _body(reply.body).get("users")
    if not isinstance(users, list):
        raise RetryableError(Reason.BRAZE_EXPORT, "Braze answered without users")
    return [user for user in users if isinstance(user, dict)]
