"""Salvage the events of broken JSON, every one that can be separated.

Only brackets and quotes are followed. So a bad event is a piece of its own beside its
neighbours, and the last piece may be cut off.
"""

import re
from collections.abc import Callable, Iterator

type SplitWhole = Callable[[bytes], list[bytes] | None]

# An unterminated string extends to the end, so each byte is scanned once.
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|[\[\]{},]', re.DOTALL)
_ARRAY = re.compile(rb'\s*(?:\{\s*"events"\s*:\s*)?\[')
_NOTHING = b" \t\r\n,]}"


def has_more_elements(content: bytes, limit: int) -> bool:
    """Whether a list that may be one of events has more elements than that.

    Such a list is a document itself or directly within one. The elements are counted
    without a list of them, up to the limit.
    """
    within: list[bytes] = []
    elements = 0
    for token in _TOKEN.finditer(content):
        mark = token[0]
        if mark in {b"{", b"["}:
            within.append(mark)
        elif mark in {b"}", b"]"}:
            if within:
                within.pop()
            if not within:
                elements = 0
        elif mark == b"," and len(within) <= 2 and within[-1:] == [b"["]:
            elements += 1
            if elements >= limit:
                return True
    return False


def pieces_of(content: bytes, split_whole: SplitWhole) -> Iterator[bytes]:
    """Yield the bytes of each event, and of each part that is no event."""
    lines = [line.strip() for line in content.split(b"\n")]
    by_line = len(lines) > 1 and any(
        line[:1] in {b"[", b"{"} and split_whole(line) is not None for line in lines
    )
    for document in lines if by_line else [content]:
        for part in _documents(document):
            whole = split_whole(part) if part[:1] in {b"[", b"{"} else [part]
            yield from _elements(part) if whole is None else whole


def _documents(content: bytes) -> Iterator[bytes]:
    """Yield each part in brackets, and each part between them."""
    depth = start = 0
    for token in _TOKEN.finditer(content):
        mark = token[0]
        if mark in {b"{", b"["}:
            if depth == 0:
                yield from _meaningful(content[start : token.start()])
                start = token.start()
            depth += 1
        elif mark in {b"}", b"]"} and depth:
            depth -= 1
            if depth == 0:
                yield content[start : token.end()]
                start = token.end()
    yield from _meaningful(content[start:])


def _meaningful(part: bytes) -> Iterator[bytes]:
    if part.strip(_NOTHING):
        yield part.strip()


def _elements(document: bytes) -> list[bytes]:
    """The elements of a broken array or envelope; anything else as one piece."""
    array = _ARRAY.match(document)
    if not array:
        return [document]
    elements: list[bytes] = []
    depth, start = 0, array.end()
    for token in _TOKEN.finditer(document, start):
        mark = token[0]
        if mark in {b"{", b"["}:
            depth += 1
        elif depth and mark in {b"}", b"]"}:
            depth -= 1
        elif depth == 0 and mark in {b",", b"]", b"}"}:
            elements.append(document[start : token.start()].strip())
            start = token.end()
            if mark != b",":
                break
    else:
        elements.append(document[start:].strip())
    elements = [each for each in elements if each]
    is_whole = all(each[:1] == b"{" and each[-1:] == b"}" for each in elements)
    return elements if len(elements) > 1 or (elements and is_whole) else [document]
