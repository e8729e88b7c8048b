"""The members of one page as the webhook stores them and the consumer reads them."""

import json

from bridge.cohorts.rules.identifiers import Identifier, Matched
from bridge.errors import PermanentError
from bridge.reasons import Reason


def write_page(members: list[Matched]) -> bytes:
    """Only identifiers are kept of what Mixpanel sent."""
    rows = [[member.distinct_id, member.identifier.key] for member in members]
    return json.dumps(rows, separators=(",", ":")).encode()


def read_page(content: bytes) -> list[Matched]:
    """The inverse of `write_page`; raises `PermanentError`."""
    try:
        return [
            Matched(distinct_id, Identifier.from_key(key))
            for distinct_id, key in json.loads(content)
        ]
    except (ValueError, TypeError):
        raise PermanentError(
            Reason.PAGE_UNREADABLE, "a stored page is damaged"
        ) from None
