"""What the mapping makes of one event: a Mixpanel event, or the rule that filters it.

An event that cannot be mapped at all raises `MalformedInput` instead.
"""

from typing import Any, NamedTuple


class Filtered(NamedTuple):
    """The event is not sent; `rule` is the name it is counted under."""

    rule: str


class Sent(NamedTuple):
    """A Mixpanel event; `drift` are the names in it that the catalog does not know."""

    event: dict[str, Any]
    drift: tuple[str, ...] = ()
