"""The blocks of an Avro container, of which a damaged one costs no other.

A block begins with the count of its records and the size of its bytes, and ends with
the marker of the container. Where that does not hold, the next marker is searched for:
Apache Avro's specification, "Object Container Files".
"""

from typing import IO, NamedTuple

from bridge.errors import MalformedInput
from bridge.reasons import Reason

MAX_HEADER = 1_000_000
"""Bytes; the schema of an event has a few thousand."""

MAX_BLOCK = 64_000_000
"""Bytes; a size beyond that is damage."""

_MARKER = 16
_STEP = 65_536
_MAX_VARINT = 10


class _Frame(NamedTuple):
    """Where a block's marker begins, seen from the block's first byte."""

    marker: int

    @property
    def end(self) -> int:
        return self.marker + _MARKER


class Container:
    """A file as fastavro reads it: the header as often as wanted, then sound blocks.

    While the header is read for the first time it is recorded. `served` counts blocks;
    `damaged` those that were left out. Damage within a block is its reader's to count.
    """

    def __init__(self, content: IO[bytes]) -> None:
        self.damaged = 0
        self.served = 0
        self._content = content
        self._head = bytearray()
        self._marker = b""
        self._ahead = bytearray()
        self._served = b""
        self._at = 0

    def begin(self, marker: bytes = b"") -> None:
        """Serve the header, and then the blocks that were not served yet.

        `marker` is that of the header, once it has been read.
        """
        self._marker = marker or self._marker
        self._served, self._at = bytes(self._head), 0

    def read(self, size: int) -> bytes:
        """As that of a file; raises `MalformedInput` for a header that is too long."""
        if not self._marker:
            return self._read_header(size)
        if self._at == len(self._served):
            self._served, self._at = self._next_block(), 0
        part = self._served[self._at : self._at + size]
        self._at += len(part)
        return part

    def tell(self) -> int:
        """Where the reader is within what is served: fastavro asks for it."""
        return self._at

    def _read_header(self, size: int) -> bytes:
        if not 0 <= size <= MAX_HEADER - len(self._head):
            raise MalformedInput(Reason.BAD_AVRO, "the header is too long")
        part = self._content.read(size)
        self._head += part
        return part

    def _next_block(self) -> bytes:
        """The next sound block with its marker; empty at the end of the file."""
        while self._filled(1):
            frame = self._frame(0)
            if frame and self._is_sound(frame):
                block = bytes(self._ahead[: frame.marker]) + self._marker
                del self._ahead[: frame.end]
                self.served += 1
                return block
            self.damaged += 1
            self._skip_to_marker()
        return b""

    def _is_sound(self, frame: _Frame) -> bool:
        """Whether the block has its marker, or has lost that and nothing else."""
        if not self._filled(frame.end):
            return False
        if self._has_marker(frame):
            return True
        if not self._filled(frame.end + 1):
            return True
        following = self._frame(frame.end)
        return bool(
            following and self._filled(following.end) and self._has_marker(following)
        )

    def _has_marker(self, frame: _Frame) -> bool:
        return self._ahead[frame.marker : frame.end] == self._marker

    def _frame(self, start: int) -> _Frame | None:
        """The frame of a block that begins there; None if none can begin there."""
        self._filled(start + 2 * _MAX_VARINT)
        count, at = self._varint(start)
        size, at = self._varint(at)
        if count < 0 or not 0 <= size <= MAX_BLOCK:
            return None
        return _Frame(at + size)

    def _varint(self, at: int) -> tuple[int, int]:
        """A zigzag number, negative if it has no end, and where the next byte is."""
        value = 0
        for position in range(_MAX_VARINT):
            if at + position >= len(self._ahead):
                break
            byte = self._ahead[at + position]
            value |= (byte & 0x7F) << 7 * position
            if byte < 0x80:
                return (value >> 1) ^ -(value & 1), at + position + 1
        return -1, at

    def _skip_to_marker(self) -> None:
        """Drop everything up to the end of the next marker, or of the file."""
        while (found := self._ahead.find(self._marker)) < 0:
            del self._ahead[: -(_MARKER - 1)]
            if not self._filled(len(self._ahead) + 1):
                self._ahead.clear()
                return
        del self._ahead[: found + _MARKER]

    def _filled(self, size: int) -> bool:
        """Read ahead so far; whether the file has so much left."""
        while len(self._ahead) < size:
            part = self._content.read(max(_STEP, size - len(self._ahead)))
            if not part:
                return False
            self._ahead += part
        return True
