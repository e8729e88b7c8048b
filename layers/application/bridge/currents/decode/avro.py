"""Avro containers of Currents, in a file or in a stream record; fastavro reads them.

fastavro trusts the schema, and a schema of a few bytes can crash the whole process, so
the header is read and checked first (`avro_schema`). For a container in a stream record
the sizes of the blocks are checked too: a kilobyte can inflate to more than a function
can hold.
"""

import io
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any, cast

import orjson
from fastavro import block_reader, schemaless_reader

from bridge.braze.currents_event import event_type_of
from bridge.currents.decode.avro_blocks import Container
from bridge.currents.decode.avro_schema import check_schema
from bridge.errors import BridgeError, MalformedInput
from bridge.reasons import Reason

MAGIC = b"Obj\x01"
CODECS = frozenset({"null", "deflate", "snappy"})
_STEP = 1_000_000
_HEADER: Any = {
    "type": "record",
    "name": "Header",
    "fields": [
        {"name": "magic", "type": {"type": "fixed", "name": "magic", "size": 4}},
        {"name": "meta", "type": {"type": "map", "values": "bytes"}},
        {"name": "sync", "type": {"type": "fixed", "name": "sync", "size": 16}},
    ],
}


class DamagedBlocks(MalformedInput):
    """Some blocks of a container cannot be read; `blocks` says how many."""

    def __init__(self, blocks: int) -> None:
        super().__init__(Reason.BAD_AVRO, f"damaged blocks: {blocks}")
        self.blocks = blocks


def read_events(key: str, content: IO[bytes]) -> Iterator[dict[str, Any]]:
    """Yield the events of a container, each with its type.

    What is no UTF-8 in a text becomes U+FFFD. Raises `MalformedInput` if the header is
    damaged, and `DamagedBlocks` after the events of all other blocks; errors of S3 pass
    unchanged.
    """
    with _reading():
        container = _checked(content)
        blocks = _blocks(container)
        event_type = event_type_of(key, _schema_name(blocks))
    damaged = begun = 0
    while True:
        try:
            for block in blocks:
                for record in _records(block):
                    yield {"event_type": event_type, **record}
            break
        except Exception as error:  # noqa: BLE001 - see `_reading`
            _raise_if_foreign(error)
            damaged += 1
            if container.served == begun:
                break
            begun = container.served
            # fastavro's reader has ended; a new one continues with the next block.
            container.begin()
            blocks = _blocks(container)
    if damaged + container.damaged:
        raise DamagedBlocks(damaged + container.damaged)


@contextmanager
def _reading() -> Iterator[None]:
    """Damage raises whatever it leads to: fastavro has no error of its own."""
    try:
        yield
    except Exception as error:
        _raise_if_foreign(error)
        if isinstance(error, BridgeError):
            raise
        raise MalformedInput(Reason.BAD_AVRO, "the Avro container is damaged") from None


def _raise_if_foreign(error: Exception) -> None:
    if type(error).__module__.startswith(("botocore", "urllib3")):
        raise error


def _blocks(container: Container) -> Any:
    return block_reader(cast("IO[bytes]", container), handle_unicode_errors="replace")


def to_json(event: dict[str, Any]) -> bytes:
    """The flat form as bytes, the same for equal events; raises `MalformedInput`."""
    try:
        return orjson.dumps(event, default=_text)
    except (TypeError, RecursionError):
        raise MalformedInput(
            Reason.BAD_AVRO, "a record cannot be written as JSON"
        ) from None


def check_size(content: bytes, limit: int) -> None:
    """Raise `MalformedInput` if the blocks inflate to more than `limit` bytes.

    Damage is left for `read_events`, which still reads the blocks before it.
    """
    source = io.BytesIO(content)
    try:
        header: Any = schemaless_reader(source, _HEADER, None)
        codec = header["meta"].get("avro.codec", b"null").decode()
        left = limit
        while source.tell() < len(content):
            schemaless_reader(source, "long", None)  # the count of records
            block: Any = schemaless_reader(source, "bytes", None)
            source.seek(16, io.SEEK_CUR)
            left -= _inflated_size(codec, block, left)
            if left < 0:
                _reject_size(limit)
    except BridgeError:
        raise
    except Exception:  # noqa: BLE001 - see above
        return


def _checked(content: IO[bytes]) -> Container:
    """The container from its beginning; raises `MalformedInput` if it is unsafe."""
    container: Any = Container(content)
    header: Any = schemaless_reader(container, _HEADER, None)
    check_schema(header["meta"]["avro.schema"])
    container.begin(header["sync"])
    return cast("Container", container)


def _records(block: Any) -> Iterator[dict[str, Any]]:
    # Any number of records can take no bytes at all, and would never end.
    if block.num_records > len(block.bytes_.getbuffer()):
        raise MalformedInput(Reason.BAD_AVRO, "a block has more records than bytes")
    for record in block:
        if not isinstance(record, dict):
            raise MalformedInput(Reason.BAD_AVRO, "the Avro file does not hold records")
        yield record


def _reject_size(limit: int) -> None:
    raise MalformedInput(Reason.TOO_LARGE, f"inflates to over {limit} bytes")


def _inflated_size(codec: str, block: bytes, limit: int) -> int:
    if codec not in CODECS:
        raise MalformedInput(Reason.BAD_AVRO, "Currents writes no such codec")
    if codec == "deflate":
        stream, size = zlib.decompressobj(-15), 0
        while size <= limit and (part := stream.decompress(block, _STEP)):
            size += len(part)
            block = stream.unconsumed_tail
        return size
    if codec == "snappy":
        size = 0
        for position, byte in enumerate(block[:5]):
            size |= (byte & 0x7F) << 7 * position
            if byte < 0x80:
                break
        return size
    return len(block)


def _schema_name(records: Any) -> str:
    schema = records.writer_schema
    name = schema.get("name", "") if isinstance(schema, Mapping) else ""
    space = schema.get("namespace", "") if isinstance(schema, Mapping) else ""
    return f"{space}.{name}" if space and "." not in name else str(name)


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
