"""The members of one page as the webhook stores them and the consumer reads them."""

import json
from collections.abc import Iterable
from typing import NamedTuple

from bridge.cohorts.rules.identifiers import Identifier
from bridge.errors import PermanentError
from bridge.reasons import Reason


class Listed(NamedTuple):
    """One Mixpanel profile of a page, and the identifier that it resolves to.

    `entry` is the position in `Identifiers` of what gave the identifier. Without one,
    `reason` says why there is none.
    """

    distinct_id: str
    identifier: Identifier | None
    entry: int = 0
    reason: str = ""


def write_page(members: Iterable[Listed]) -> bytes:
    """Only identifiers are kept of what Mixpanel sent."""
    rows = [
        [each.distinct_id, each.identifier.key, *([each.entry] if each.entry else [])]
        if each.identifier
        else [each.distinct_id, "", each.reason]
        for each in members
    ]
    return json.dumps(rows, separators=(",", ":")).encode()


def read_page(content: bytes) -> list[Listed]:
    """The inverse of `write_page`; raises `PermanentError`."""
    try:
        return [_read(*row) for row in json.loads(content)]
    except (ValueError, TypeError, AttributeError):
        raise PermanentError(
            Reason.PAGE_UNREADABLE, "a stored page is damaged"
        ) from None


def _read(distinct_id: str, key: str, more: int | str = 0) -> Listed:
    if key:
        return Listed(distinct_id, Identifier.from_key(key), int(more))
    return Listed(distinct_id, None, reason=str(more))
