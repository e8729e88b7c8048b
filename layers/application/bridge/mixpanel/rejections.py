"""Why Mixpanel rejected an event, in words that are fit for a log (pure).

Its messages may quote the event, and a property may have any name. So only words that
such messages are made of are shown, and names that look like names.
"""

import re

NO_PLAIN_NAME = "(no plain name)"
STRUCK = "…"

_NAME = re.compile(
    r"(?:properties\.)?(?:\[[A-Za-z ]{1,40}\] )?(?P<bare>[^\W\d][\w.$ -]{0,63})|"
    r"(?:properties\.)?\$?[A-Za-z_][\w.$ -]{0,63}"
)
_DIGITS = re.compile(r"\d{5}")
_WORD = re.compile(r"[^\s'\"`,;:.()\[\]{}]+(?:[.@'-][^\s'\"`,;:.()\[\]{}]+)*")
_SEVERAL_STRUCK = re.compile(rf"{STRUCK}(?:[\s'\"`,;:.-]*{STRUCK})+")

_VOCABULARY = frozenset(
    """
    a above after all allowed already an and any are array arrays as at bad be because
    been before below between blank boolean but by bytes can cannot character characters
    contain contains containing count data date deep deeply depth did disallowed does
    duplicate each element elements empty epoch error event events exceed exceeded
    exceeds expected extra failed few fewer field fields first for format found from
    future greater has have hyphen id identifier identity in integer into invalid is it
    its json key keys large larger least length less level levels like limit limits list
    lists long longer many max maximum may milliseconds min minimum missing more most
    must name names nested nesting no not null number numbers object objects of old on
    once one only or out over past per point points project properties property reason
    rejected request required reserved same seconds shall short should shorter since
    single size smaller specified start string strings supported text than that the
    their this time times timestamp to too type types unexpected unknown unsupported up
    use used using utf8 utf-8 valid validation value values was when with within wrong
    year years alphanumeric bytes count insert_id $insert_id distinct_id time mixpanel
    """.split()
)
"""What Mixpanel's known messages consist of, and others like them would."""

_NUMBERS = frozenset({"1", "2", "3", "10", "36", "255", "1971"})
"""Limits that a message may state; any other number may be a value."""


def plain_field(field: str) -> str:
    """A property, or an event's name, with our bracketed prefix if it has one.

    Any text that does not look like a name could be a value, and is not shown.
    """
    if not field:
        return "(no property)"
    is_name = _NAME.fullmatch(field) and not _DIGITS.search(field)
    return field if is_name else NO_PLAIN_NAME


def plain_message(message: str, field: str) -> str:
    """Mixpanel's message with every value struck; the field it names stays."""
    shown = plain_field(field)
    parts = message.split(field) if field else [message]
    struck = shown.join(_WORD.sub(_known_or_struck, part) for part in parts)
    return _SEVERAL_STRUCK.sub(STRUCK, struck).strip()


def _known_or_struck(match: re.Match[str]) -> str:
    word = match[0]
    return word if word.lower() in _VOCABULARY or word in _NUMBERS else STRUCK
