"""Avro containers of Currents: from a file, or within a stream record.

fastavro reads them. It trusts the schema, so that one of a few bytes can end the whole
process: the header is read and judged before fastavro sees it (`avro_schema`). Before
it reads what stands in a stream record, the blocks are looked through as well, for a
container of a kilobyte can inflate to what no function can hold.
"""

import io
import zlib
from collections.abc import Iterator, Mapping
from typing import IO, Any

import orjson
from fastavro import block_reader, schemaless_reader

from bridge.braze.currents_event import event_type_of
from bridge.currents.decode.avro_schema import check_schema
from bridge.errors import BridgeError, MalformedInput

MAGIC = b"Obj\x01"
CODECS = frozenset({"null", "deflate", "snappy"})
MAX_HEADER = 1_000_000
"""Bytes; the schema of an event has some thousand."""

_AT_ONCE = 1_000_000
_HEADER: Any = {
    "type": "record",
    "name": "Header",
    "fields": [
        {"name": "magic", "type": {"type": "fixed", "name": "magic", "size": 4}},
        {"name": "meta", "type": {"type": "map", "values": "bytes"}},
        {"name": "sync", "type": {"type": "fixed", "name": "sync", "size": 16}},
    ],
}


def read_events(key: str, content: IO[bytes]) -> Iterator[dict[str, Any]]:
    """The events of a container, each with its type.

    Raises `MalformedInput` at the damage, and what fails on the way from S3 as it is.
    """
    try:
        blocks = block_reader(_judged(content))
        event_type = event_type_of(key, _schema_name(blocks))
        for block in blocks:
            for record in _records(block):
                yield {"event_type": event_type, **record}
    except BridgeError:
        raise
    except Exception as error:
        if type(error).__module__.startswith(("botocore", "urllib3")):
            raise
        # fastavro raises what it stumbles over.
        raise MalformedInput("bad_avro", "the Avro container is damaged") from None


def to_json(event: dict[str, Any]) -> bytes:
    """The flat form as bytes, the same for the same event; or `MalformedInput`."""
    try:
        return orjson.dumps(event, default=_text)
    except (TypeError, RecursionError):
        raise MalformedInput("bad_avro", "a record cannot be told as JSON") from None


def check_size(content: bytes, limit: int) -> None:
    """Look through the blocks; raises `MalformedInput` if they inflate beyond it."""
    source = io.BytesIO(content)
    try:
        header: Any = schemaless_reader(source, _HEADER, None)
        codec = header["meta"].get("avro.codec", b"null").decode()
        left = limit
        while source.tell() < len(content):
            schemaless_reader(source, "long", None)  # how many records
            block: Any = schemaless_reader(source, "bytes", None)
            source.seek(16, io.SEEK_CUR)
            left -= _inflated_size(codec, block, left)
            if left < 0:
                _refuse_size(limit)
    except BridgeError:
        raise
    except Exception:  # noqa: BLE001 - what is before the damage can still be read
        return


class _Replayed:
    """A stream whose first bytes are read once to judge them, and then once more."""

    def __init__(self, content: IO[bytes]) -> None:
        self._content = content
        self._head = io.BytesIO()
        self._behind = 0
        self._judging = True

    def read(self, size: int) -> bytes:
        if not self._judging:
            head = self._head.read(size)
            missing = size - len(head)
            rest = self._content.read(missing) if missing > 0 else b""
            self._behind += len(rest)
            return head + rest
        if not 0 <= size <= MAX_HEADER - self._head.tell():
            raise MalformedInput("bad_avro", "the header is too long")
        part = self._content.read(size)
        self._head.write(part)
        return part

    def tell(self) -> int:
        return self._head.tell() + self._behind

    def rewind(self) -> None:
        self._judging = False
        self._head.seek(0)


def _judged(content: IO[bytes]) -> Any:
    """The same container, if its schema is one that fastavro can be given."""
    replayed: Any = _Replayed(content)
    header: Any = schemaless_reader(replayed, _HEADER, None)
    check_schema(header["meta"]["avro.schema"])
    replayed.rewind()
    return replayed


def _records(block: Any) -> Iterator[dict[str, Any]]:
    # Records of no bytes at all would never end.
    if block.num_records > len(block.bytes_.getbuffer()):
        raise MalformedInput("bad_avro", "a block has more records than bytes")
    for record in block:
        if not isinstance(record, dict):
            raise MalformedInput("bad_avro", "the Avro file does not hold records")
        yield record


def _refuse_size(limit: int) -> None:
    raise MalformedInput("too_large", f"inflates to over {limit} bytes")


def _inflated_size(codec: str, block: bytes, limit: int) -> int:
    if codec not in CODECS:
        raise MalformedInput("bad_avro", "the codec is none that Currents writes")
    if codec == "deflate":
        stream, size = zlib.decompressobj(-15), 0
        while size <= limit and (part := stream.decompress(block, _AT_ONCE)):
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
