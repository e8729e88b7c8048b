"""Send changes to Braze in calls, halved until whatever it rejects stands alone."""

from collections.abc import Callable, Sequence
from functools import partial

from bridge.braze.users_track import TrackReply
from bridge.chunking import by_count, halves
from bridge.errors import Rejected, TooMany
from bridge.parallel import run_all
from bridge.reasons import Reason

type Reasons = Sequence[str | None]
"""For each item None, or the reason for which Braze rejects it."""


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

    @property
    def is_known(self) -> bool:
        """Whether Braze has taken any call."""
        return bool(self._taken)

    def rejected(self, items: int) -> None:
        """Braze takes fewer than this."""
        self._allowed = min(self._allowed, max(1, items * 2 // 3))

    def taken(self, items: int) -> None:
        """Braze took as many."""
        self._taken = max(self._taken, items)


def send_in_calls[T](
    items: Sequence[T],
    size: CallSize,
    send: Callable[[Sequence[T]], TrackReply],
    sent: Callable[[Sequence[T], Reasons], None],
) -> None:
    """Send items; `sent` is called, in any thread, with those of each call that ended.

    Where Braze rejects a call, or some of it without naming which, the halves of the
    call tell. Raises what `send` raises, except `Rejected`, once no call is under way.
    """

    def send_batch(batch: Sequence[T]) -> None:
        sent(batch, _reasons(batch, size, send))

    if items and not size.is_known:
        # How many Braze takes is learnt from one call, not from many at once.
        first, items = items[: size.current], items[size.current :]
        send_batch(first)
    batches = by_count(items, size.current)
    run_all([partial(send_batch, batch) for batch in batches])


def _reasons[T](
    batch: Sequence[T], size: CallSize, send: Callable[[Sequence[T]], TrackReply]
) -> Reasons:
    alone = len(batch) == 1
    try:
        reply = send(batch)
        size.taken(len(batch))
    except Rejected as error:
        if alone:
            return [error.reason]
        if isinstance(error, TooMany):
            size.rejected(len(batch))
            if size.current < len(batch):
                reasons: list[str | None] = []
                while rest := batch[len(reasons) :]:
                    reasons += _reasons(rest[: size.current], size, send)
                return reasons
        reply = TrackReply({}, vague=True)
    if reply.vague and not alone:
        return [each for half in halves(batch) for each in _reasons(half, size, send)]
    if reply.vague:
        return [Reason.BRAZE_REJECTED]
    return [reply.rejected.get(index) for index in range(len(batch))]
