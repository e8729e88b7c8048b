"""Turn the bytes of a record into lines for Mixpanel, each event on its own.

An unforeseen exception quarantines its event as a fault of ours: otherwise the stream
would deliver the same record over and over, and block its shard.
"""

from collections.abc import Iterator
from itertools import islice

import orjson

from bridge.currents.decode.record import Decoded, decode
from bridge.currents.mapping.result import Filtered, Sent
from bridge.currents.mapping.shared_ids import Earlier
from bridge.currents.mapping.transform import Mapper
from bridge.errors import MalformedInput
from bridge.mixpanel.import_api import BYTES_PER_EVENT
from bridge.observability import log_fault
from bridge.quarantine import Key
from bridge.reasons import Reason

FAULT = Reason.FAULT
"""The reason of an event on which our own code failed."""


def events_of(data: bytes) -> Iterator[Decoded]:
    """As `decode`, but a record without any event is one item with the bytes it had."""
    try:
        events = decode(data)
        head = list(islice(events, 2))
        if len(head) == 1 and head[0].problem:
            head = [Decoded(data, problem=head[0].problem)]
        yield from head
        yield from events
    except Exception as error:  # noqa: BLE001 - see above
        yield Decoded(data, problem=_fault(error))


def prepare(
    decoded: Decoded, arrived: float, mapper: Mapper, earlier: Earlier | None = None
) -> tuple[bytes, Sent] | Filtered:
    """The event as a line of JSON, and as it was mapped; raises `MalformedInput`.

    `earlier` are events of the same record; see `Mapper.transform`.
    """
    if decoded.problem:
        raise decoded.problem
    try:
        # Stripped, as they are when a replay sends the event in a record of its own.
        raw = decoded.raw.strip()
        result = mapper.transform(decoded.event, raw, arrived, earlier)
        if isinstance(result, Filtered):
            return result
        line = orjson.dumps(result.event)
    except MalformedInput:
        raise
    except orjson.JSONEncodeError:
        raise MalformedInput(Reason.NOT_TEXT, "a value is no valid text") from None
    except Exception as error:  # noqa: BLE001 - see above
        raise _fault(error) from None
    if len(line) >= BYTES_PER_EVENT:
        raise MalformedInput(
            Reason.TOO_LARGE, f"Mixpanel takes less than {BYTES_PER_EVENT}"
        )
    return line, result


def key_of(line: bytes) -> Key:
    """The four values by which Mixpanel de-duplicates this event."""
    event = orjson.loads(line)
    properties = event["properties"]
    return (
        event["event"],
        properties["distinct_id"],
        properties["time"],
        properties["$insert_id"],
    )


def _fault(error: Exception) -> MalformedInput:
    """Named by its type alone, for its message may quote the event."""
    log_fault("quarantined by a fault", error)
    return MalformedInput(FAULT, type(error).__name__)
