"""Packs many events into one stream record, as a gzipped JSON array.

A shard takes only 1,000 records a second. The events' bytes are unchanged in the array,
so that what is quarantined later is what Braze sent.
"""

import importlib
from collections.abc import Callable, Iterable, Iterator, Sequence

from bridge.chunking import by_size, halves
from bridge.errors import MalformedInput
from bridge.reasons import Reason

try:
    _gzip = importlib.import_module("isal.igzip").compress
except ImportError:  # no wheel for this machine
    _gzip = importlib.import_module("gzip").compress

EVENTS_PER_RECORD = 5_000
BYTES_PER_RECORD = 1_000_000
"""Before compression. It bounds the importer's memory, and keeps most records within
Kinesis' 1 MiB."""

MAX_RECORD = 1_048_576 - 256
"""Bytes; Kinesis counts the partition key as part of the record's 1 MiB."""


def compress(content: bytes) -> bytes:
    """Gzip at the fastest level, without a timestamp: equal input gives equal bytes."""
    return bytes(_gzip(content, 1, mtime=0))


def _fail(_: bytes) -> None:
    raise too_large()


def too_large() -> MalformedInput:
    """Why an event that fits into no record is quarantined; Braze's limit is 900 KB."""
    return MalformedInput(Reason.TOO_LARGE, "the event exceeds a Kinesis record")


def pack(
    events: Iterable[bytes], reject: Callable[[bytes], None] = _fail
) -> Iterator[bytes]:
    """Records of many events each; `reject` is given each event that fits into none."""
    for chunk in chunks(events):
        yield from records_of(chunk, reject)


def chunks(events: Iterable[bytes]) -> Iterator[list[bytes]]:
    """The events in groups for one record, or for several if they compress badly."""
    return by_size(events, EVENTS_PER_RECORD, BYTES_PER_RECORD, len)


def records_of(
    chunk: Sequence[bytes], reject: Callable[[bytes], None]
) -> Iterator[bytes]:
    """One record, or as many as are needed; the same events give the same records."""
    record = compress(b"[" + b",".join(chunk) + b"]")
    if len(record) <= MAX_RECORD:
        yield record
    elif len(chunk) == 1:
        reject(chunk[0])
    else:
        for half in halves(chunk):
            yield from records_of(half, reject)
