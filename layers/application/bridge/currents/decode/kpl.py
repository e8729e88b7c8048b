"""Aggregated records of the Kinesis Producer Library: several user records in one.

The format is public (amazon-kinesis-producer, "aggregation-format.md"): four magic
bytes, a protobuf message, and its MD5. The published library for it has been
unmaintained since 2022 and depends on protobuf: docs/decisions/.
"""

import hashlib
from collections.abc import Iterator

from bridge.errors import MalformedInput
from bridge.reasons import Reason

MAGIC = b"\xf3\x89\x9a\xc2"
_DIGEST = 16
_RECORDS, _DATA = 3, 3
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5
_FIXED = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}


def user_records(data: bytes) -> list[bytes]:
    """The user records in order; raises `MalformedInput`."""
    message, digest = data[len(MAGIC) : -_DIGEST], data[-_DIGEST:]
    if hashlib.md5(message, usedforsecurity=False).digest() != digest:
        raise _damaged()
    return [
        content
        for record in _fields(message, _RECORDS)
        for content in _fields(record, _DATA)
    ]


def _fields(message: bytes, number: int) -> Iterator[bytes]:
    """Yield the contents of one length-delimited field, at each of its occurrences."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == _VARINT:
            _, at = _varint(message, at)
            continue
        length, at = (
            _varint(message, at) if kind == _LENGTH else (_FIXED.get(kind, -1), at)
        )
        if length < 0 or at + length > len(message):
            raise _damaged()
        if kind == _LENGTH and tag >> 3 == number:
            yield message[at : at + length]
        at += length


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise _damaged()


def _damaged() -> MalformedInput:
    return MalformedInput(Reason.BAD_AGGREGATE, "the aggregated record is damaged")
