"""Read one Avro file of Currents into the stream, in bounded memory and in steps.

A file that cannot be read is not tried again: it is copied to the quarantine as it is,
after the events before the damage have been taken.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import IO

from bridge.currents.decode.avro import read_events, to_json
from bridge.currents.stream.kinesis import Stream
from bridge.currents.stream.pack import chunks, records_of
from bridge.errors import MalformedInput


@dataclass(slots=True)
class Loaded:
    """How far a file is read.

    `position` counts the events that are safe, so that reading can go on behind them;
    `too_large` are events that no record of the stream can hold, `problem` is where the
    file broke off.
    """

    position: int = 0
    finished: bool = False
    too_large: list[bytes] = field(default_factory=list)
    problem: MalformedInput | None = None


def load(
    key: str,
    content: IO[bytes],
    stream: Stream,
    loaded: Loaded,
    is_late: Callable[[], bool] = lambda: False,
) -> None:
    """Store the events of one file from `loaded.position` on, until it is late.

    Raises `RetryableError` when some are not safe; `loaded` says which are. The same
    file gives the same records, wherever reading was broken off.
    """
    # Lazily: one record is packed and sent at a time, however long the file is.
    for chunk in chunks(_events(key, content, loaded)):
        for record in records_of(chunk, loaded.too_large.append):
            stream.put([record])
        loaded.position += len(chunk)
        if is_late():
            return
    loaded.finished = True


def _events(key: str, content: IO[bytes], loaded: Loaded) -> Iterator[bytes]:
    """The events as flat JSON, until the end or the damage."""
    try:
        for event in islice(read_events(key, content), loaded.position, None):
            yield to_json(event)
    except MalformedInput as error:
        loaded.problem = error
