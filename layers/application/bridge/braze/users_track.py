"""The wire of Braze's users/track: membership as a custom attribute (pure).

Source: Braze docs, "POST: Track users" and "User attributes object". A 2xx means
queued; `errors` lists the objects that were rejected, mostly by index.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bridge.errors import (
    CredentialsRejected,
    Rejected,
    RetryableError,
    TooLarge,
    TooMany,
)
from bridge.reasons import Reason
from bridge.transport import Reply

OBJECTS_PER_CALL = 75
"""The total over all arrays of one request."""

REJECTING_STATUSES = frozenset({401, 403, 404, 415})
"""Key, permission, path, media type: every other call would fail in the same way."""

ACCEPTING_MESSAGES = frozenset({"success", "queued"})

TOO_MANY = re.compile("max input length exceeded|too many|allowed per request")
"""How a 400 says, in lower case, that a call holds more than this contract allows."""

SENTENCES = {
    "blacklisted_external_user_id": re.compile("external_id.*(black|block)listed"),
    "external_user_id_too_large": re.compile(
        "external_id.*(fewer than .* bytes|too (long|large))"
    ),
    "email_bad_format": re.compile("email.*(format|invalid|not (a )?valid)"),
}
"""Braze's error codes, and the lower-case sentences that it sends in their place."""


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
    reply: Reply,
    objects: int,
    credentials: str = "the REST key",
    *,
    any_message: bool = False,
) -> TrackReply:
    """Read the answer to `objects` attributes objects.

    A 2xx whose `message` is not one of success is a failure, unless `any_message`.
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
    rejected, unnamed = _errors(body.get("errors"), objects)
    processed = body.get("attributes_processed")
    counted = isinstance(processed, int)
    missing = isinstance(processed, int) and processed + len(rejected) < objects
    track_reply = TrackReply(rejected, vague=unnamed or missing)
    if 200 <= reply.status < 300:
        fatal = _text(body, "error") if any_message else _text(body, "message", "error")
        if fatal and fatal not in ACCEPTING_MESSAGES:
            raise RetryableError(
                Reason.BRAZE_MESSAGE, "Braze answered 2xx with a failure"
            )
        return track_reply
    if reply.status == 400 and TOO_MANY.search(_text(body, "message", "error")):
        raise TooMany(Reason.BRAZE_TOO_LARGE, "Braze takes fewer objects a request")
    if reply.status == 413:
        raise TooLarge(Reason.BRAZE_TOO_LARGE, "Braze rejects the size of the request")
    accounted = counted or len(rejected) == objects
    if reply.status == 400 and rejected and accounted and not track_reply.vague:
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


def _text(body: Mapping[str, object], *keys: str) -> str:
    """The first text under one of the keys, trimmed and in lower case."""
    texts = (body.get(key) for key in keys)
    return next((t.strip().lower() for t in texts if t and isinstance(t, str)), "")


def _errors(errors: object, objects: int) -> tuple[Mapping[int, str], bool]:
    """By index, the code of each rejected object; whether others are not named."""
    if errors is None:
        return {}, False
    rejected: dict[int, str] = {}
    unnamed = False
    for error in errors if isinstance(errors, list) else [{"type": errors}]:
        fields = error if isinstance(error, dict) else {"type": error}
        # Of a single object every error speaks, with an index or without.
        index = fields.get("index", 0 if objects == 1 else None)
        ours = fields.get("input_array", "attributes") == "attributes"
        if type(index) is int and 0 <= index < objects and ours:
            rejected[index] = _code(fields.get("type"))
        else:
            unnamed = True
    return rejected, unnamed


def _code(kind: object) -> str:
    """Braze's error code, fit for a metric, which a sentence may stand for.

    A fixed code stands for any other sentence.
    """
    text = kind if isinstance(kind, str) else ""
    is_code = text.isupper() and text.replace("_", "").isalnum() and len(text) <= 60
    if is_code:
        return f"braze_{text.lower()}"
    for code, sentence in SENTENCES.items():
        if sentence.search(text.lower()):
            return f"braze_{code}"
    return Reason.BRAZE_REJECTED


def read_export(reply: Reply) -> Sequence[Mapping[str, object]]:
    """The profiles in an answer of users/export/ids; raises as `read_reply`."""
    read_reply(reply, 0)
    users = _body(reply.body).get("users")
    if not isinstance(users, list):
        raise RetryableError(Reason.BRAZE_EXPORT, "Braze answered without users")
    return [user for user in users if isinstance(user, dict)]
