"""Send changes to Braze in calls, halved until whatever it rejects stands alone."""

from collections.abc import Callable, Sequence

from bridge.braze.users_track import TrackReply
from bridge.chunking import halves
from bridge.errors import Rejected, TooMany
from bridge.reasons import Reason

type Reasons = list[str | None]
"""Per change None, or the reason for which Braze rejects it."""


class CallSize:
    """How many items a call may hold: at first what Braze documents, then what it took.

    Some contracts allow fewer, and a process learns that once. Lowered to two thirds,
    75 objects become the 50 of contracts by monthly users.
    """

    def __init__(self, documented: int) -> None:
        self._allowed = documented
        self._taken = 0

    @property
    def current(self) -> int:
        """The size of the next call; what Braze took once is never undercut."""
        return max(self._allowed, self._taken)

    def rejected(self, items: int) -> None:
        """Braze takes fewer than this."""
        self._allowed = min(self._allowed, max(1, items * 2 // 3))

    def taken(self, items: int) -> None:
        """Braze took as many."""
        self._taken = max(self._taken, items)


def send_in_calls[T](
    items: Sequence[tuple[int, T]],
    size: CallSize,
    send: Callable[[Sequence[T]], TrackReply],
    reasons: Reasons,
) -> None:
    """Send items, each with its position in `reasons`, and enter what is rejected.

    Where Braze rejects a call, or some of it without naming which, the halves of the
    call tell. Raises what `send` raises, except `Rejected`.
    """
    start = 0
    while start < len(items):
        batch = items[start : start + size.current]
        _send_halving(batch, size, send, reasons)
        start += len(batch)


def _send_halving[T](
    batch: Sequence[tuple[int, T]],
    size: CallSize,
    send: Callable[[Sequence[T]], TrackReply],
    reasons: Reasons,
) -> None:
    alone = len(batch) == 1
    try:
        reply = send([item for _, item in batch])
        size.taken(len(batch))
    except Rejected as error:
        if alone:
            reasons[batch[0][0]] = error.reason
            return
        if isinstance(error, TooMany):
            size.rejected(len(batch))
            if size.current < len(batch):
                send_in_calls(batch, size, send, reasons)
                return
        reply = TrackReply({}, vague=True)
    if reply.vague and not alone:
        for half in halves(batch):
            _send_halving(half, size, send, reasons)
        return
    if reply.vague:
        reasons[batch[0][0]] = Reason.BRAZE_REJECTED
    for index, reason in reply.rejected.items():
        reasons[batch[index][0]] = reason
