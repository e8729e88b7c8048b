"""The bytes of a record → lines for Mixpanel, each made and judged alone.

A fault of ours on one event is an answer too: an exception that nobody foresaw would
otherwise meet the same record again and again, and hold up its shard.
"""

from collections.abc import Iterator
from itertools import islice

import orjson

from bridge.currents.decode.record import Decoded, decode
from bridge.currents.mapping.transform import Earlier, Filtered, Mapper, Sent
from bridge.errors import MalformedInput
from bridge.mixpanel.import_api import BYTES_PER_EVENT
from bridge.observability import log_fault
from bridge.quarantine import Key

FAULT = "fault"
"""The reason that stands for a fault of ours."""


def events_of(data: bytes) -> Iterator[Decoded]:
    """As `decode`, but a record with nothing good in it is one item, as it came."""
    try:
        found = decode(data)
        head = list(islice(found, 2))
        if len(head) == 1 and head[0].problem:
            head = [Decoded(data, problem=head[0].problem)]
        yield from head
        yield from found
    except Exception as error:  # noqa: BLE001 - see above
        yield Decoded(data, problem=_fault(error))


def prepare(
    decoded: Decoded, arrived: float, mapper: Mapper, earlier: Earlier | None = None
) -> tuple[bytes, Sent] | Filtered:
    """The event as JSON and as it was mapped; raises `MalformedInput`.

    `earlier` are events of the same record; see `Mapper.transform`.
    """
    if decoded.problem:
        raise decoded.problem
    try:
        # Stripped, as the bytes are when they come again by themselves.
        raw = decoded.raw.strip()
        result = mapper.transform(decoded.event, raw, arrived, earlier)
        if isinstance(result, Filtered):
            return result
        line = orjson.dumps(result.event)
    except MalformedInput:
        raise
    except orjson.JSONEncodeError:
        raise MalformedInput("not_text", "a value is no valid text") from None
    except Exception as error:  # noqa: BLE001 - see above
        raise _fault(error) from None
    if len(line) >= BYTES_PER_EVENT:
        raise MalformedInput("too_large", f"Mixpanel takes less than {BYTES_PER_EVENT}")
    return line, result


def key_of(line: bytes) -> Key:
    """By what Mixpanel de-duplicates this event."""
    event = orjson.loads(line)
    properties = event["properties"]
    return (
        event["event"],
        properties["distinct_id"],
        properties["time"],
        properties["$insert_id"],
    )


def _fault(error: Exception) -> MalformedInput:
    """Told by its type alone, for its message may quote the event."""
    log_fault("set aside by a fault", error)
    return MalformedInput(FAULT, type(error).__name__)
