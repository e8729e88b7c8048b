"""Take one message of the queue."""

from bridge.cohorts.message import (
    Message,
    PageMessage,
    SettleMessage,
    WeighMessage,
)
from bridge.cohorts.push import Pushed, Pusher
from bridge.cohorts.settle import release, settle, weigh
from bridge.cohorts.touch import touch_page


def consume(pusher: Pusher, message: Message, received: int = 1) -> Pushed:
    """Carry out one message, given out `received` times; safe to repeat.

    Raises `RetryableError` when it has to come again and `PermanentError` when it never
    can be carried out.
    """
    if isinstance(message, PageMessage):
        return touch_page(pusher, message, received)
    if isinstance(message, SettleMessage):
        return settle(pusher, message)
    if isinstance(message, WeighMessage):
        return weigh(pusher, message)
    return release(pusher, message)
