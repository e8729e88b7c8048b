"""The bytes of a stream record → events, each with the bytes it came in.

A record may be one event, an array, `{"events": […]}`, or several of these, a line
each, plain or gzipped; an Avro container; or any of these as the Kinesis Producer
Library packs them. What cannot be read is an item too, so that it can be put aside
alone: one bad record must not hold up a shard, nor one bad event its neighbours.
"""

import importlib
import io
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import orjson

from bridge.currents.decode import kpl
from bridge.currents.decode.salvage import pieces_of
from bridge.errors import MalformedInput

try:
    _gzip_file = importlib.import_module("isal.igzip").IGzipFile
    _damage = importlib.import_module("isal.isal_zlib").error
except ImportError:  # no wheel for this machine
    _gzip_file = importlib.import_module("gzip").GzipFile
    _damage = zlib.error

MAX_INFLATED = 64_000_000
"""Bytes; a record that inflates to more is a bomb and not a batch of events."""

MAX_EVENTS = 100_000
MAX_SEPARATORS = 4_000_000
"""Of one record, commas and line breaks: a bomb may also be of many tiny events."""

_AT_ONCE = 1_000_000
_PARSED_WHOLE = 8_000_000
"""Bytes: parsed, JSON needs several times its size."""

_GZIP, _AVRO, _BOM = b"\x1f\x8b", b"Obj\x01", b"\xef\xbb\xbf"


@dataclass(slots=True)  # one an event: freezing would cost more than splitting
class Decoded:
    """One event, or why these bytes are none."""

    raw: bytes
    event: Any = None
    problem: MalformedInput | None = None


class _Envelope(msgspec.Struct):
    events: list[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET


_read_envelope = msgspec.json.Decoder(_Envelope).decode
_read_array = msgspec.json.Decoder(list[msgspec.Raw]).decode


def parse(data: bytes) -> list[Any] | None:
    """The events of a record of sound JSON, parsed once; None for any other.

    They are those of `decode`, which finds the bytes of each as well.
    """
    try:
        content = inflate(data) if data.startswith(_GZIP) else data
        if len(content) > _PARSED_WHOLE:
            return None
        found = orjson.loads(content)
    except (MalformedInput, orjson.JSONDecodeError):
        return None
    if found.__class__ is dict:
        if "events" not in found or found["events"].__class__ is not list:
            return [found]
        found = found["events"]
    is_list = found.__class__ is list and len(found) <= MAX_EVENTS
    return found if is_list else None


def decode(data: bytes) -> Iterator[Decoded]:
    """Yield the events of one record, and what is none with its reason."""
    if not data.startswith(kpl.MAGIC):
        yield from _decode(data)
        return
    try:
        records = kpl.user_records(data)
    except MalformedInput as error:
        yield Decoded(data, problem=error)
        return
    for record in records:
        yield from _decode(record)


def _decode(data: bytes) -> Iterator[Decoded]:
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
    """Undo gzip, if it is, up to a limit; raises `MalformedInput`."""
    if not data.startswith(_GZIP):
        return data
    parts: list[bytes] = []
    size = 0
    try:
        with _gzip_file(fileobj=io.BytesIO(data)) as stream:
            while part := stream.read(_AT_ONCE):
                size += len(part)
                if size > MAX_INFLATED:
                    raise MalformedInput(
                        "too_large", f"inflates to over {MAX_INFLATED} bytes"
                    )
                parts.append(part)
    except (OSError, EOFError, zlib.error, _damage):
        raise MalformedInput("bad_gzip", "the gzip stream is damaged") from None
    return b"".join(parts)


def split(content: bytes) -> Iterable[bytes]:
    """The bytes of each event; raises `MalformedInput` if it is not JSON at all.

    Where the whole is broken the pieces are not proven to be JSON: see `read`.
    """
    content = content.removeprefix(_BOM).strip()
    if not content:
        raise MalformedInput("empty", "there are no bytes")
    if content[:1] not in {b"[", b"{"}:
        raise MalformedInput("not_json", "the record is neither JSON nor Avro nor gzip")
    if content.count(b",") + content.count(b"\n") > MAX_SEPARATORS:
        raise _too_many()
    whole = _split_whole(content)
    if whole is None:
        return pieces_of(content, _split_whole)
    if len(whole) > MAX_EVENTS:
        raise _too_many()
    return whole


def _too_many() -> MalformedInput:
    return MalformedInput("too_many", f"holds more than {MAX_EVENTS} events")


def _split_whole(content: bytes) -> list[bytes] | None:
    """The events of one JSON document; None if it is broken, or not one alone."""
    try:
        if content.startswith(b"["):
            return [bytes(raw) for raw in _read_array(content)]
        events = _read_envelope(content).events
    except msgspec.ValidationError:
        return [content]  # `events` is not a list: no envelope of Braze's
    except (msgspec.DecodeError, RecursionError):
        return None
    # An object without `events` is one event.
    return [content] if events is msgspec.UNSET else [*map(bytes, events)]


def read(raw: bytes) -> Decoded:
    """One event from its bytes."""
    try:
        event = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return Decoded(raw, problem=MalformedInput("not_json", "not JSON"))
    return Decoded(raw, event)


def _avro(content: bytes) -> Iterator[Decoded]:
    from bridge.currents.decode import avro  # loaded only where Avro comes

    try:
        avro.check_size(content, MAX_INFLATED)
        for event in avro.read_events("", io.BytesIO(content)):
            yield Decoded(avro.to_json(event), event)
    except MalformedInput as error:
        yield Decoded(content, problem=error)
