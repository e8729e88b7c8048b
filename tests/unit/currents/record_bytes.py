"""Bytes of stream records: aggregates, and Avro containers that harm a naive reader."""

import hashlib
import io
import json
import zlib

import fastavro

from bridge.currents.decode.avro import _HEADER as HEADER
from bridge.currents.decode.kpl import MAGIC
from bridge.currents.decode.record import (
    MAX_INFLATED,
)


def aggregate(*records: bytes) -> bytes:
    """What the Kinesis Producer Library makes of these user records."""
    message = field(1, b"partition key") + field(2, b"0")
    for record in records:
        # The indexes of both keys, the data, and a tag that nobody reads.
        message += field(3, b"\x08\x00\x10\x00" + field(3, record) + field(4, b""))
    return MAGIC + message + hashlib.md5(message, usedforsecurity=False).digest()


def field(number: int, content: bytes) -> bytes:
    length, size = len(content), b""
    while length >= 0x80:
        size += bytes([length & 0x7F | 0x80])
        length >>= 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + content


def container(schema: str, codec: str, count: int, block: bytes) -> bytes:
    content = io.BytesIO()
    head = {"magic": b"Obj\x01", "sync": b"s" * 16}
    meta = {"avro.schema": schema.encode(), "avro.codec": codec.encode()}
    fastavro.schemaless_writer(content, HEADER, head | {"meta": meta})
    fastavro.schemaless_writer(content, "long", count)
    fastavro.schemaless_writer(content, "bytes", block)
    return content.getvalue() + b"s" * 16


def deflated(content: bytes) -> bytes:
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    return stream.compress(content) + stream.flush()


RECORD = '{"type": "record", "name": "dataexport.S3.inner.a.b", "fields": %s}'


AVRO_BOMB = container(
    RECORD % '[{"name": "text", "type": "bytes"}]',
    "deflate",
    1,
    deflated(b"\x80\x80\x80\x80\x08" + b"a" * (MAX_INFLATED + 1)),
)


AVRO_OF_NOTHING = container(RECORD % "[]", "null", 2**40, b"")


# 300 levels do no harm yet; 5,000 overflow the stack and end the process.
AVRO_IN_ITSELF = container(
    RECORD % '[{"name": "n", "type": ["null", "dataexport.S3.inner.a.b"]}]',
    "null",
    1,
    b"\x02" * 300 + b"\x00",
)


EVENTS = [{"event_type": "a", "id": str(n), "text": "ü\n"} for n in range(3)]


ONE_LINERS = [json.dumps(event).encode() for event in EVENTS]


LINES = [json.dumps(event, indent=n or None).encode() for n, event in enumerate(EVENTS)]
