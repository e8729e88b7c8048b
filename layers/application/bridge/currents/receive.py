"""Take one call of Braze's custom HTTP connector into the stream.

Source: Braze docs, "Custom HTTP Connector". A single event that is answered 400 is
dropped by Braze for good, and 401, 403 and 404 stop the connector; so a body is never
refused for what is in it. The bad is put aside, the good goes on.
"""

from collections.abc import Callable
from dataclasses import dataclass

from bridge.currents.decode import inflate, split
from bridge.currents.pack import Stream, pack
from bridge.errors import MalformedInput
from bridge.quarantine import QuarantinedItem

type PutAside = Callable[[QuarantinedItem], None]


@dataclass(frozen=True, slots=True)
class Received:
    """How many events were stored; `reason` if the body was put aside instead."""

    events: int = 0
    reason: str = ""


def receive(body: bytes, request: str, stream: Stream, put_aside: PutAside) -> Received:
    """Store the events of one body; an empty one is Braze's probe.

    Raises `RetryableError` when the events are not safe: Braze has to come again.
    """
    if not body.strip():
        return Received()
    try:
        events = list(split(inflate(body)))
        records = list(pack(events))
    except MalformedInput as error:
        put_aside(
            QuarantinedItem(
                original=body,
                reason=error.reason,
                message=str(error),
                position=request,
            )
        )
        return Received(reason=error.reason)
    stream.put(records)
    return Received(len(events))
