"""Take one call of Braze's custom HTTP connector into the stream.

Source: Braze docs, "Custom HTTP Connector". Braze drops a single event for good when it
is answered 400, and 401, 403 and 404 stop the connector; so no body is refused for its
content: what cannot be read is quarantined, and the rest is stored.
"""

from dataclasses import dataclass

from bridge.authentication import (
    admits,
    bearer_matches,
    count_refusal,
    shows_bearer,
)
from bridge.aws.http_api import Answer, Request
from bridge.credentials import CurrentsCredentials, Secret
from bridge.currents.decode.record import MAX_EVENT, inflate, read, split
from bridge.currents.stream.kinesis import Stream
from bridge.currents.stream.pack import pack, too_large
from bridge.errors import MalformedInput
from bridge.observability import Metric, count, logger
from bridge.quarantine import Quarantine, QuarantinedItem

MAX_BODY = 24_000_000
"""Bytes; a call of the API holds six million, and with gzip a batch of 100 events of
240 KB. Larger ones would take the function over its memory."""


def answer_call(
    request: Request,
    *,
    secret: Secret[CurrentsCredentials],
    stream: Stream,
    quarantine: Quarantine,
) -> Answer:
    """Authenticate the caller and store the events.

    Raises `RetryableError` when the events are not safe: Braze has to send them again.
    """
    header = request.authorization
    if not admits(
        secret,
        lambda known: bearer_matches(header, known.tokens),
        shown=header or "",
        presented=shows_bearer(header),
    ):
        # A token has no user name: only one that was valid before is known.
        count_refusal(
            secret,
            lambda known: bearer_matches(header, known.tokens),
            presented=shows_bearer(header),
        )
        return Answer(401, {"message": "the token is wrong"})
    body = request.original()
    contents = sort_events(body, request.id)
    if contents.quarantined:
        key = quarantine.put(request.id, request.arrived, contents.quarantined)
        count(Metric.EVENTS_QUARANTINED, len(contents.quarantined))
        reasons = sorted({item.reason for item in contents.quarantined})
        logger.warning("events quarantined", reasons=reasons, quarantine=key)
    stream.put(contents.records)
    count(Metric.CALLS_RECEIVED)
    logger.info("call received", events=contents.events, bytes=len(body))
    stored = {"events": contents.events, "quarantined": len(contents.quarantined)}
    return Answer(200, {"message": "stored", **stored})


@dataclass(frozen=True, slots=True)
class Contents:
    """The contents of one body: stream records of so many events, and the rest."""

    events: int
    records: list[bytes]
    quarantined: list[QuarantinedItem]


def sort_events(body: bytes, request_id: str) -> Contents:
    """Separate the events that can be stored from what must be quarantined (pure).

    A blank body is Braze's probe and contains nothing. What would take too much memory
    is quarantined as the body that it came in.
    """
    if not body.strip():
        return Contents(0, [], [])
    quarantined: list[QuarantinedItem] = []

    def reject(original: bytes, problem: MalformedInput, at: str = "") -> None:
        quarantined.append(
            QuarantinedItem(
                original=original,
                reason=problem.reason,
                message=str(problem),
                position=f"{request_id}{at}",
            )
        )

    events: list[bytes] = []
    try:
        too_large_of_all: MalformedInput | None = None
        for number, piece in enumerate(split(inflate(body, MAX_BODY))):
            # A piece that is not JSON would make its whole record unreadable.
            problem = read(piece).problem
            if problem and len(piece) > MAX_EVENT:
                too_large_of_all = problem
            elif problem:
                reject(piece, problem, f"/{number}")
            else:
                events.append(piece)
        if too_large_of_all:
            reject(body, too_large_of_all)
    except MalformedInput as error:
        reject(body, error)
    too_long: list[bytes] = []
    records = list(pack(events, too_long.append))
    for number, event in enumerate(too_long):
        reject(event, too_large(), f"/long/{number}")
    return Contents(len(events) - len(too_long), records, quarantined)
