"""Read one Avro file of Currents into the stream, in bounded memory.

A file that cannot be read is not tried again: it is copied to the quarantine as it is,
after the events before the damage have been taken.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import orjson
from fastavro import reader

from bridge.braze.currents import event_type_of
from bridge.currents.decode import schema_name
from bridge.currents.pack import Stream, pack
from bridge.errors import BridgeError, MalformedInput


@dataclass(slots=True)
class Loaded:
    """How many events were stored; `problem` if the file broke off there."""

    events: int = 0
    problem: MalformedInput | None = None


def load(key: str, content: IO[bytes], stream: Stream) -> Loaded:
    """Store the events of one file.

    Raises `RetryableError` when they are not all safe: the file has to be read again,
    which Mixpanel's de-duplication makes harmless.
    """
    loaded = Loaded()
    # Lazily: one record is packed and sent at a time, however long the file is.
    for record in pack(_events(key, content, loaded)):
        stream.put([record])
    return loaded


def _events(key: str, content: IO[bytes], loaded: Loaded) -> Iterator[bytes]:
    """The events as flat JSON, until the end or the damage."""
    try:
        records = reader(content)
        event_type = event_type_of(key, schema_name(records))
        for record in records:
            yield _dump(event_type, record)
            loaded.events += 1
    except MalformedInput as error:
        loaded.problem = error
    except BridgeError:
        raise
    except Exception as error:
        if _is_interrupted(error):
            raise
        loaded.problem = MalformedInput("bad_avro", "the Avro file is damaged")


def _dump(event_type: str, record: Any) -> bytes:
    if not isinstance(record, dict):
        raise MalformedInput("bad_avro", "the Avro file does not hold records")
    return orjson.dumps({"event_type": event_type, **record}, default=_text)


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _is_interrupted(error: Exception) -> bool:
    """Whether reading failed on the way from S3, not on what was read."""
    return type(error).__module__.startswith(("botocore", "urllib3"))
