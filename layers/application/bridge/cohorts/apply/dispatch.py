"""Take one message of the queue."""

from bridge.cohorts.apply.page import apply_page
from bridge.cohorts.apply.push import Pushed, Pusher
from bridge.cohorts.apply.rescan import measure_removal, release, rescan
from bridge.cohorts.messages import (
    MeasureRemovalMessage,
    Message,
    PageMessage,
    RescanMessage,
)


def consume(pusher: Pusher, message: Message, received: int = 1) -> Pushed:
    """Carry out one message, given out `received` times; safe to repeat.

    Raises `RetryableError` when it has to come again and `PermanentError` when it never
    can be carried out.
    """
    if isinstance(message, PageMessage):
        return apply_page(pusher, message, received)
    if isinstance(message, RescanMessage):
        return rescan(pusher, message)
    if isinstance(message, MeasureRemovalMessage):
        return measure_removal(pusher, message)
    return release(pusher, message)
