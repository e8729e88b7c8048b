"""The values by which Mixpanel de-duplicates, beside the event's name (pure).

Each is a function of the event's bytes and of its arrival in the stream alone.
"""

import re
from datetime import UTC, datetime
from hashlib import sha256

from bridge.errors import MalformedInput
from bridge.mixpanel.distinct_ids import is_placeholder
from bridge.reasons import Reason

MIN_TIME = 1_262_304_000
"""2010-01-01 in epoch seconds; earlier events are filtered (requirement R7)."""

MAX_SECONDS = 100_000_000_000
"""A time from here on is in milliseconds: in seconds it would be the year 5138. From a
thousand times that on it is in microseconds, and then in nanoseconds."""

MAX_MILLISECONDS = 1_000 * MAX_SECONDS
MAX_NANOSECONDS = 1_000_000 * MAX_MILLISECONDS

MAX_ID = 255
"""Characters of a distinct id; Mixpanel cuts longer ones, and two users become one."""

REDACTED = "[REDACTED]"
is_insert_id = re.compile(r"[A-Za-z0-9-]{1,36}").fullmatch


def not_later(time: int, arrived: float) -> int:
    """A time that exceeds the arrival: one in a finer unit, or in the future.

    The result is in epoch seconds, or in milliseconds where it is not a whole second.
    Mixpanel overwrites a future time with the time of import, a different one at each
    retry; the arrival is the same at each. Raises `MalformedInput` beyond nanoseconds.
    """
    if time < MAX_SECONDS:
        return time if time < arrived else int(arrived)
    if time >= MAX_NANOSECONDS:
        raise _bad_time()
    milliseconds = time
    while milliseconds >= MAX_MILLISECONDS:
        milliseconds //= 1000
    if milliseconds >= arrived * 1000:
        return int(arrived)
    seconds, rest = divmod(milliseconds, 1000)
    # A time that is filtered stays comparable with others in seconds.
    return milliseconds if rest and seconds >= MIN_TIME else seconds


def event_time(value: object, arrived: float) -> int:
    """As `not_later` of any time, which may also be a text; raises `MalformedInput`."""
    if isinstance(value, str):
        value = _parsed_time(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _bad_time()
    try:
        time = int(value)
    except (ValueError, OverflowError):
        raise _bad_time() from None
    if time != value and MIN_TIME <= time < MAX_SECONDS:
        time = int(value * 1000)
    return not_later(time, arrived) if time > arrived else time


def _parsed_time(text: str) -> object:
    """The number in a text, or the epoch seconds of an ISO time; None for neither."""
    text = text.strip()
    try:
        return int(text) if text.isdecimal() else float(text)
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _bad_time() -> MalformedInput:
    text = "time must be an epoch time in seconds or a finer unit"
    return MalformedInput(Reason.BAD_TIME, text, field="time")


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
    if not text or text.isspace():
        return Reason.NO_EXTERNAL_ID
    fitting_id(text)
    return None


def fitting_id(text: str) -> str:
    """The same id; raises `MalformedInput` if Mixpanel would cut it."""
    if len(text) > MAX_ID:
        raise MalformedInput(
            Reason.ID_TOO_LONG, f"an id has more than {MAX_ID} characters", field="user"
        )
    return text


def insert_id(event_id: object, raw: bytes) -> str:
    """The event's id if Mixpanel accepts it, else a digest of it, or of the bytes."""
    if isinstance(event_id, int) and not isinstance(event_id, bool):
        event_id = str(event_id)
    if isinstance(event_id, str) and event_id:
        if is_insert_id(event_id) and not is_placeholder(event_id):
            return event_id
        raw = event_id.encode("utf-8", "surrogatepass")
    return sha256(raw).hexdigest()[:36]
