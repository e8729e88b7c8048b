"""Many events in one stream record, gzipped: a shard takes 1,000 records a second.

The events' own bytes stand in a JSON array unchanged, so that what has to be put aside
later is what Braze sent.
"""

import importlib
from collections.abc import Callable, Iterable, Iterator, Sequence

from bridge.chunking import by_size, halves
from bridge.errors import MalformedInput

try:
    _gzip = importlib.import_module("isal.igzip").compress
except ImportError:  # no wheel for this machine
    _gzip = importlib.import_module("gzip").compress

EVENTS_PER_RECORD = 5_000
BYTES_PER_RECORD = 1_000_000
"""Before compression: it bounds the importer's memory, and so Kinesis' 1 MiB too."""

MAX_RECORD = 1_048_576 - 256  # the partition key counts


def compress(content: bytes) -> bytes:
    """Gzip at the level at which speed is cheapest; no time of day is in it."""
    return bytes(_gzip(content, 1, mtime=0))


def _refuse(_: bytes) -> None:
    raise too_large()


def too_large() -> MalformedInput:
    """Why an event is put aside that fits nowhere; Braze drops those above 900 KB."""
    return MalformedInput("too_large", "the event exceeds a Kinesis record")


def pack(
    events: Iterable[bytes], refused: Callable[[bytes], None] = _refuse
) -> Iterator[bytes]:
    """Records of many events each; `refused` is told of an event that fits nowhere."""
    for chunk in chunks(events):
        yield from records_of(chunk, refused)


def chunks(events: Iterable[bytes]) -> Iterator[list[bytes]]:
    """The events of one record each, or of some if they do not compress."""
    return by_size(events, EVENTS_PER_RECORD, BYTES_PER_RECORD, len)


def records_of(
    chunk: Sequence[bytes], refused: Callable[[bytes], None]
) -> Iterator[bytes]:
    """One record, or as many as it takes; the same events give the same bytes."""
    record = compress(b"[" + b",".join(chunk) + b"]")
    if len(record) <= MAX_RECORD:
        yield record
    elif len(chunk) == 1:
        refused(chunk[0])
    else:
        for half in halves(chunk):
            yield from records_of(half, refused)
