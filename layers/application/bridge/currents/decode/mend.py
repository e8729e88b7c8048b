"""Mend JSON whose only fault is text that is not Unicode (pure).

Half an emoji or a byte of another encoding must not cost a whole event: each becomes
U+FFFD, the replacement character.
"""

import re

_REPLACEMENT = rb"\ufffd"

# Escapes are read one by one, so that the second half of `\\` begins none.
_ESCAPE = re.compile(
    rb"\\(?:"
    rb"(?P<pair>u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|.)",
    re.DOTALL,
)


def mended(raw: bytes) -> bytes:
    """The same JSON as valid Unicode; the same bytes if that is not what is wrong."""
    try:
        raw.decode()
    except UnicodeDecodeError:
        raw = raw.decode("utf-8", "replace").encode()
    if rb"\u" not in raw:
        return raw
    return _ESCAPE.sub(lambda found: _REPLACEMENT if found["half"] else found[0], raw)
