"""Decode a stream record into events, each with the bytes it came in.

A record may be one event, an array, `{"events": […]}`, an array of these, or several of
all these, one a line, plain or gzipped; an Avro container; or any of these aggregated
by the Kinesis Producer Library. Unreadable bytes are an item too, so that they are
quarantined alone: a bad record must not block its shard, nor a bad event its
neighbours.
"""

import importlib
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec
import orjson

from bridge.currents.decode import kpl
from bridge.currents.decode.salvage import has_more_elements, pieces_of
from bridge.errors import MalformedInput
from bridge.reasons import Reason

try:
    _gzip_file = importlib.import_module("isal.igzip").IGzipFile
    _damage = importlib.import_module("isal.isal_zlib").error
except ImportError:  # isal has no wheel for this platform
    _gzip_file = importlib.import_module("gzip").GzipFile
    _damage = zlib.error

MAX_INFLATED = 64_000_000
"""Bytes; a record that inflates to more is a bomb, not a batch of events."""

MAX_EVENTS = 100_000
"""Events of one record."""

MAX_EVENT = 4_000_000
"""Bytes of one event; Braze drops those above 900 KB, and Mixpanel takes under 1 MB."""

MAX_SEPARATORS = 4_000_000
"""Commas and line breaks of one record: a bomb may also consist of tiny events."""

MAX_LINES = 500_000
"""Line breaks of a record that is not one sound document."""

_STEP = 1_000_000
_MAX_UNCOUNTED = 1_000_000
"""Bytes; whatever is in less, a list of it takes little memory."""
_MAX_PARSED_WHOLE = 8_000_000
"""Bytes; parsed JSON takes several times its size in memory."""

_GZIP, _AVRO, _BOM = b"\x1f\x8b", b"Obj\x01", b"\xef\xbb\xbf"


@dataclass(slots=True)  # not frozen: that would cost more than splitting does
class Decoded:
    """The bytes of one event, and the event, or the problem that these bytes have."""

    raw: bytes
    event: Any = None
    problem: MalformedInput | None = None


class _Envelope(msgspec.Struct):
    events: list[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET


class _Inner(msgspec.Struct):
    events: list[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET
    event_type: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_read_inner = msgspec.json.Decoder(_Inner).decode
_read_envelope = msgspec.json.Decoder(_Envelope).decode
_read_array = msgspec.json.Decoder(list[msgspec.Raw]).decode


def parse(data: bytes) -> list[Any] | None:
    """The events of a record that is sound JSON, parsed at once; None for any other.

    `decode` yields the same events, and locates the bytes of each.
    """
    try:
        content = inflate(data) if data.startswith(_GZIP) else data
        if len(content) > _MAX_PARSED_WHOLE:
            return None
        parsed = orjson.loads(content)
    except (MalformedInput, orjson.JSONDecodeError):
        return None
    if parsed.__class__ is dict:
        if "events" not in parsed or parsed["events"].__class__ is not list:
            return [parsed]
        parsed = parsed["events"]
    is_list = parsed.__class__ is list and len(parsed) <= MAX_EVENTS
    return parsed if is_list else None


def decode(data: bytes) -> Iterator[Decoded]:
    """Yield the events of one record; unreadable bytes come with their problem."""
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


def inflate(data: bytes, limit: int = MAX_INFLATED) -> bytes:
    """Decompress gzip up to a limit, leave other bytes; raises `MalformedInput`."""
    if not data.startswith(_GZIP):
        return data
    parts: list[bytes] = []
    size = 0
    try:
        with _gzip_file(fileobj=io.BytesIO(data)) as stream:
            while part := stream.read(_STEP):
                size += len(part)
                if size > limit:
                    raise MalformedInput(
                        Reason.TOO_LARGE, f"inflates to over {limit} bytes"
                    )
                parts.append(part)
    except (OSError, EOFError, zlib.error, _damage):
        raise MalformedInput(Reason.BAD_GZIP, "the gzip stream is damaged") from None
    return b"".join(parts)


def split(content: bytes) -> list[bytes]:
    """The bytes of each event; raises `MalformedInput` if nothing is JSON.

    If the whole is broken, a piece may still be no JSON: see `read`.
    """
    content = content.removeprefix(_BOM).strip()
    if not content:
        raise MalformedInput(Reason.EMPTY, "there are no bytes")
    if content[:1] not in {b"[", b"{"}:
        raise MalformedInput(
            Reason.NOT_JSON, "the record is neither JSON nor Avro nor gzip"
        )
    # Counted before any list is built: a bomb may consist of elements of one byte.
    commas, lines = content.count(b","), content.count(b"\n")
    if commas + lines > MAX_SEPARATORS or (
        commas >= MAX_EVENTS
        and len(content) > _MAX_UNCOUNTED
        and has_more_elements(content, MAX_EVENTS)
    ):
        raise _too_many()
    whole = _split_whole(content)
    if whole is None and lines > MAX_LINES:
        raise _too_many()
    pieces = pieces_of(content, _split_whole) if whole is None else whole
    found = list(islice(pieces, MAX_EVENTS + 1))
    if len(found) > MAX_EVENTS:
        raise _too_many()
    return found


def _too_many() -> MalformedInput:
    return MalformedInput(Reason.TOO_MANY, f"holds more than {MAX_EVENTS} events")


def _split_whole(content: bytes) -> list[bytes] | None:
    """The bytes of each event of one JSON document; None if it is not exactly one."""
    try:
        if content.startswith(b"["):
            return [each for raw in _read_array(content) for each in _opened(raw)]
        events = _read_envelope(content).events
    except msgspec.ValidationError:
        return [content]  # `events` is not a list: one event, not an envelope
    except (msgspec.DecodeError, RecursionError):
        return None
    # An object without `events` is one event.
    if events is msgspec.UNSET:
        return [content]
    return [each for raw in events for each in _opened(raw)]


def is_envelope(element: object) -> bool:
    """Whether an element of an array is not an event but an envelope of some."""
    return (
        isinstance(element, dict)
        and isinstance(element.get("events"), list)
        and "event_type" not in element
    )


def _opened(raw: msgspec.Raw, levels: int = 8) -> Iterator[bytes]:
    """The bytes of an event, or of each in an envelope that stands for one."""
    element = bytes(raw)
    if levels and element.startswith(b"{") and b"events" in element:
        try:
            inner = _read_inner(element)
        except (msgspec.DecodeError, RecursionError):
            inner = _Inner()
        is_event = inner.event_type is not msgspec.UNSET
        if inner.events is not msgspec.UNSET and not is_event:
            for each in inner.events:
                yield from _opened(each, levels - 1)
            return
    yield element


def read(raw: bytes) -> Decoded:
    """Parse one event from its bytes."""
    if len(raw) > MAX_EVENT:
        # As Python's text an event may take four times its bytes.
        problem = MalformedInput(Reason.TOO_LARGE, f"has over {MAX_EVENT} bytes")
        return Decoded(raw, problem=problem)
    try:
        event = orjson.loads(raw)
    except orjson.JSONDecodeError:
        from bridge.currents.decode.mend import mended  # loaded for odd text alone

        try:
            event = orjson.loads(mended(raw))
        except orjson.JSONDecodeError:
            return Decoded(raw, problem=MalformedInput(Reason.NOT_JSON, "not JSON"))
    return Decoded(raw, event)


def _avro(content: bytes) -> Iterator[Decoded]:
    from bridge.currents.decode import avro  # loaded for Avro alone

    try:
        avro.check_size(content, MAX_INFLATED)
        for event in avro.read_events("", io.BytesIO(content)):
            yield Decoded(avro.to_json(event), event)
    except MalformedInput as error:
        yield Decoded(content, problem=error)
