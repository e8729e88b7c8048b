"""The values by which Mixpanel de-duplicates, beside the event's name (pure).

Each is a function of the event's bytes and of its arrival in the stream alone.
"""

import re
from hashlib import sha256

from bridge.errors import MalformedInput
from bridge.mixpanel.distinct_ids import is_placeholder
from bridge.reasons import Reason

MIN_TIME = 1_262_304_000
"""2010-01-01 in epoch seconds; earlier events are filtered (requirement R7)."""

MAX_SECONDS = 100_000_000_000
"""A time from here on is in milliseconds: in seconds it would be the year 5138."""

REDACTED = "[REDACTED]"
is_insert_id = re.compile(r"[A-Za-z0-9-]{1,36}").fullmatch


def not_later(time: int, arrived: float) -> int:
    """Epoch seconds of a time that exceeds the arrival: milliseconds, or the future.

    Mixpanel overwrites a future time with the time of import, a different one at each
    retry; the arrival is the same at each.
    """
    seconds = time // 1000 if time >= MAX_SECONDS else time
    return seconds if seconds < arrived else int(arrived)


def event_time(value: object, arrived: float) -> int:
    """Epoch seconds, not later than the arrival; raises `MalformedInput`."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            time = int(value)
        except (ValueError, OverflowError):
            pass
        else:
            return not_later(time, arrived) if time > arrived else time
    raise MalformedInput(Reason.BAD_TIME, "time must be epoch seconds", field="time")


def why_unidentified(user: object) -> str | None:
    """The rule that filters an id standing for no single user; None for a usable id.

    Raises `MalformedInput` for a value that cannot be an id at all.
    """
    if user is None:
        return Reason.NO_EXTERNAL_ID
    if not isinstance(user, str | int | float):
        raise MalformedInput(Reason.BAD_USER, "an id must be a text", field="user")
    if isinstance(user, float):
        # JSON integers beyond 64 bits are read as floats too, and many users as one.
        return Reason.NUMERIC_EXTERNAL_ID
    if user == REDACTED:
        return Reason.REDACTED_EXTERNAL_ID
    text = str(user)
    if is_placeholder(text):
        return Reason.PLACEHOLDER_EXTERNAL_ID
    return Reason.NO_EXTERNAL_ID if not text or text.isspace() else None


def insert_id(event_id: object, raw: bytes) -> str:
    """The event's id if Mixpanel accepts it, else a digest of it, or of the bytes."""
    if isinstance(event_id, int) and not isinstance(event_id, bool):
        event_id = str(event_id)
    if isinstance(event_id, str) and event_id:
        if is_insert_id(event_id) and not is_placeholder(event_id):
            return event_id
        raw = event_id.encode("utf-8", "surrogatepass")
    return sha256(raw).hexdigest()[:36]
