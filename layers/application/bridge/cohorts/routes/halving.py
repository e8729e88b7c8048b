"""Send a batch of changes to Braze, halved until whatever it rejects stands alone."""

from collections.abc import Callable, Sequence

from bridge.braze.users_track import TrackReply
from bridge.chunking import halves
from bridge.errors import Rejected
from bridge.reasons import Reason

type Reasons = list[str | None]
"""Per change None, or the reason for which Braze rejects it."""


def send_halving[T](
    batch: Sequence[tuple[int, T]],
    send: Callable[[Sequence[T]], TrackReply],
    reasons: Reasons,
) -> None:
    """Send items, each with its position in `reasons`, and enter what is rejected.

    Where Braze rejects the call, or some of it without naming which, the halves of the
    batch tell. Raises what `send` raises, except `Rejected`.
    """
    if not batch:
        return
    alone = len(batch) == 1
    try:
        reply = send([item for _, item in batch])
    except Rejected as error:
        if alone:
            reasons[batch[0][0]] = error.reason
            return
        reply = TrackReply({}, vague=True)
    if reply.vague and not alone:
        for half in halves(batch):
            send_halving(half, send, reasons)
        return
    if reply.vague:
        reasons[batch[0][0]] = Reason.BRAZE_REJECTED
    for index, reason in reply.rejected.items():
        reasons[batch[index][0]] = reason
