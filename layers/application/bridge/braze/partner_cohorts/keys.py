"""The keys of a cohort import call, found in a body that may be anything (pure).

A refused body is kept, and its sender may have put the keys wherever it liked: in a
list, in single quotes, in JSON inside a text. So they are struck by their names, in
whatever notation the body is.
"""

import json
import re
from collections.abc import Iterator
from contextlib import suppress

STRUCK = "[secret]"
MAX_KEY_BYTES = 1024
"""A longer value is no key."""

MIN_KEY_BYTES = 6
"""A shorter value is no key, and striking it everywhere would garble the body."""

MAX_MENTIONS = 8
"""Of a name, that are looked at for its key: anybody can repeat it for megabytes."""

# Possessive, so that it never backtracks: anybody can send megabytes that nearly match.
_VALUE = re.compile(rb'\s*+:\s*+"([^"\\]*+(?:\\.[^"\\]*+)*+)(?:"|\Z)', re.DOTALL)

_JOINT = rb"(?:[_\s-]|\\++u005f)?+"
_NAMED = re.compile(
    rb"(?:partner" + _JOINT + rb"api" + _JOINT + rb"key|client" + _JOINT + rb"secret"
    rb"|data" + _JOINT + rb"import" + _JOINT + rb"key)"
    # The quotation mark that ends the name, and what stands before the value.
    rb"""(?:[\s\\"']|%2[027])*+(?:=>|[:=>,]|%3[ad])(?:\s|%2[027])*+""",
    re.IGNORECASE,
)
_QUOTE = re.compile(rb"""(?<!\\)(\\*+)(["'])""")
_BARE = re.compile(rb"""(?:(?!%2[267c]|%7d)[^\s,;&{}\[\]()<>"'\\])++""", re.IGNORECASE)
_OURS = {STRUCK.encode(), STRUCK.strip("[]").encode()}
_MARK = re.compile(_QUOTE.pattern + rb"|[\[({]|[\])}]")


def find_key(body: bytes, name: str) -> str | None:
    """The value of a name in a body that is, or nearly is, JSON; not its last word.

    Reads a small part of the body, whatever its size.
    """
    mention, at = b'"' + name.encode() + b'"', 0
    for _ in range(MAX_MENTIONS):
        at = body.find(mention, at) + len(mention)
        if at < len(mention):
            break
        # One byte more, so that a value that is cut is not taken for a whole one.
        found = _VALUE.match(body[at : at + MAX_KEY_BYTES + 1])
        if found and found.end() <= MAX_KEY_BYTES:
            value = _decoded(found[1])
            if value is not None:
                return value
    return None


def strike_keys(body: bytes) -> bytes:
    """The body without the values of all names of keys, wherever else they stand too.

    All other bytes stay, unless the body is written so that it hides the names.
    """
    if not _NAMED.search(body):
        body = _plainly(body)
    kept, values, at = [], set[bytes](), 0
    for start, end in _values(body):
        kept += [body[at:start], b'"' + STRUCK.encode() + b'"']
        values |= set(_texts(body[start:end]))
        at = end
    text = b"".join([*kept, body[at:]])
    for value in sorted(values, key=len, reverse=True):
        text = strike(text, value)
    return text


def strike(body: bytes, key: bytes) -> bytes:
    """The body without a key, which is given as JSON spells it."""
    if len(key) >= MIN_KEY_BYTES and key not in _OURS:
        for form in _forms(key):
            body = body.replace(form, STRUCK.encode())
    return body


def _plainly(body: bytes) -> bytes:
    """A body that hides the names of keys by its encoding, so that they show."""
    if _NAMED.search(body.replace(b"\0", b"")):
        return STRUCK.encode()
    if b"\\u" in body:
        with suppress(ValueError, RecursionError):
            plain = json.dumps(json.loads(body), ensure_ascii=False)
            text = plain.encode("utf-8", "surrogatepass")
            return text if _NAMED.search(text) else body
    return body


def _values(body: bytes) -> Iterator[tuple[int, int]]:
    """Where the values of the names stand."""
    at = 0
    while named := _NAMED.search(body, at):
        start = named.end()
        at = _end(body, start)
        if at > start:
            yield start, at


def _end(body: bytes, start: int) -> int:
    """Where a value ends: a quoted one, one in brackets, or a bare one."""
    if quote := _QUOTE.match(body, start):
        return _closing(body, quote)[1]
    if body[start : start + 1] not in {b"[", b"{", b"("}:
        bare = _BARE.match(body, start)
        return bare.end() if bare else start
    depth, at = 0, start
    while mark := _MARK.search(body, at):
        at = mark.end()
        if mark[2]:
            at = _closing(body, mark)[1]
            continue
        depth += 1 if mark[0] in b"[({" else -1
        if depth == 0:
            return at
    return len(body)


def _closing(body: bytes, opening: re.Match[bytes]) -> tuple[int, int]:
    """Where a quoted text and its closing mark end; one that never ends takes the rest.

    Within it a quotation mark has more backslashes before it than those at its ends.
    """
    for quote in _QUOTE.finditer(body, opening.end()):
        if quote[2] == opening[2] and len(quote[1]) <= len(opening[1]):
            return quote.start(), quote.end()
    return len(body), len(body)


def _texts(value: bytes) -> Iterator[bytes]:
    """The texts in a value, without their quotation marks."""
    at = 0
    while quote := _QUOTE.search(value, at):
        end, at = _closing(value, quote)
        yield value[quote.end() : end]
    yield from _BARE.findall(value)


def _forms(key: bytes) -> set[bytes]:
    """A key as JSON may spell it: escaped, escaped where it must be, or verbatim."""
    text = _decoded(key)
    if text is None:
        return {key}
    spellings = (
        text,
        json.dumps(text, ensure_ascii=False)[1:-1],
        json.dumps(text)[1:-1],
    )
    return {key, *(each.encode("utf-8", "surrogatepass") for each in spellings)}


def _decoded(value: bytes) -> str | None:
    """The text that a JSON string stands for, if it is one."""
    try:
        text = json.loads(b'"' + value + b'"', strict=False)
    except ValueError:
        return None
    return text if isinstance(text, str) else None
