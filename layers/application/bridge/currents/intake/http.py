"""Take one call of Braze's custom HTTP connector into the stream.

Source: Braze docs, "Custom HTTP Connector". A single event that is answered 400 is
dropped by Braze for good, and 401, 403 and 404 stop the connector; so a body is never
refused for what is in it. The bad is put aside, the good goes on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bridge.currents.decode.record import inflate, read, split
from bridge.currents.stream.kinesis import Stream
from bridge.currents.stream.pack import pack, too_large
from bridge.errors import MalformedInput
from bridge.quarantine import QuarantinedItem

type QuarantineItems = Callable[[Sequence[QuarantinedItem]], None]


@dataclass(frozen=True, slots=True)
class Received:
    """How many events were stored, and how many pieces put aside."""

    events: int = 0
    quarantine: int = 0


def receive(
    body: bytes, request: str, stream: Stream, quarantine: QuarantineItems
) -> Received:
    """Store the events of one body; an empty one is Braze's probe.

    Raises `RetryableError` when the events are not safe: Braze has to come again.
    """
    if not body.strip():
        return Received()
    quarantined: list[QuarantinedItem] = []

    def keep(original: bytes, problem: MalformedInput, at: str = "") -> None:
        quarantined.append(
            QuarantinedItem(
                original=original,
                reason=problem.reason,
                message=str(problem),
                position=f"{request}{at}",
            )
        )

    events: list[bytes] = []
    try:
        for number, piece in enumerate(split(inflate(body))):
            # One that is no JSON would spoil the record for its neighbours.
            problem = read(piece).problem
            if problem:
                keep(piece, problem, f"/{number}")
            else:
                events.append(piece)
    except MalformedInput as error:
        keep(body, error)
    too_long: list[bytes] = []
    records = list(pack(events, too_long.append))
    for number, event in enumerate(too_long):
        keep(event, too_large(), f"/long/{number}")
    if quarantined:
        quarantine(quarantined)
    stream.put(records)
    return Received(len(events) - len(too_long), len(quarantined))
