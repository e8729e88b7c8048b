"""The bytes of a stream record → events, each with the bytes it came in.

A record may be one event, an array, `{"events": […]}`, newline-separated JSON, each
plain or gzipped, or an Avro container. What cannot be read is an item too, so that it
can be put aside alone: one bad record must not hold up a shard.
"""

import gzip
import io
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import msgspec
import orjson

from bridge.braze.currents import event_type_of
from bridge.errors import MalformedInput

MAX_INFLATED = 64_000_000
"""Bytes; a record that inflates to more is a bomb and not a batch of events."""

_GZIP, _AVRO = b"\x1f\x8b", b"Obj\x01"


@dataclass(frozen=True, slots=True)
class Decoded:
    """One event, or why these bytes are none."""

    raw: bytes
    event: Any = None
    problem: MalformedInput | None = None


class _Envelope(msgspec.Struct):
    events: list[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET


_read_envelope = msgspec.json.Decoder(_Envelope).decode
_read_array = msgspec.json.Decoder(list[msgspec.Raw]).decode


def decode(data: bytes) -> Iterator[Decoded]:
    """Yield the events of one record, and what is none with its reason."""
    try:
        content = inflate(data)
        if content.startswith(_AVRO):
            yield from _avro(content)
            return
        pieces = split(content)
    except MalformedInput as error:
        yield Decoded(data, problem=error)
        return
    for piece in pieces:
        yield read(piece)


def inflate(data: bytes) -> bytes:
    """Undo gzip, if it is; raises `MalformedInput`."""
    if not data.startswith(_GZIP):
        return data
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            content = stream.read(MAX_INFLATED + 1)
    except (OSError, EOFError, zlib.error):
        raise MalformedInput("bad_gzip", "the gzip stream is damaged") from None
    if len(content) > MAX_INFLATED:
        raise MalformedInput("too_large", f"inflates to over {MAX_INFLATED} bytes")
    return content


def split(content: bytes) -> Iterable[bytes]:
    """The bytes of each event; raises `MalformedInput` if it is not JSON at all.

    What came line by line is not proven to be JSON: see `read`.
    """
    content = content.strip()
    if not content:
        raise MalformedInput("empty", "there are no bytes")
    try:
        if content.startswith(b"["):
            return [bytes(raw) for raw in _read_array(content)]
        if content.startswith(b"{"):
            events = _read_envelope(content).events
            # An object without `events` is one event.
            return [content] if events is msgspec.UNSET else [*map(bytes, events)]
    except msgspec.ValidationError:
        return [content]  # `events` is not a list: no envelope of Braze's
    except (msgspec.DecodeError, RecursionError):
        # Several documents, one a line; a single broken one is judged by itself.
        lines = content.split(b"\n")
        if len(lines) > 1 or content.startswith(b"{"):
            return [line for line in lines if line.strip()]
    raise MalformedInput("not_json", "the record is neither JSON nor Avro nor gzip")


def read(raw: bytes) -> Decoded:
    """One event from its bytes."""
    try:
        event = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return Decoded(raw, problem=MalformedInput("not_json", "not JSON"))
    return Decoded(raw, event)


def _avro(content: bytes) -> Iterator[Decoded]:
    from fastavro import reader  # loaded only where Avro comes

    try:
        records = reader(io.BytesIO(content))
        event_type = event_type_of("", schema_name(records))
        for record in records:
            event = {"event_type": event_type} | cast("dict[str, Any]", record)
            yield Decoded(orjson.dumps(event, default=_text), event)
    except MalformedInput as error:
        yield Decoded(content, problem=error)
    except Exception:  # noqa: BLE001 - fastavro raises what it stumbles over
        problem = MalformedInput("bad_avro", "the Avro container is damaged")
        yield Decoded(content, problem=problem)


def schema_name(records: Any) -> str:
    """Full name of the record type of an open Avro container."""
    schema = records.writer_schema
    name = schema.get("name", "") if isinstance(schema, Mapping) else ""
    space = schema.get("namespace", "") if isinstance(schema, Mapping) else ""
    return f"{space}.{name}" if space and "." not in name else str(name)


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
