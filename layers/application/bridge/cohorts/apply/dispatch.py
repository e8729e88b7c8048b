"""Take one message of the queue."""

from bridge.cohorts.apply.page import touch_page
from bridge.cohorts.apply.push import Pushed, Pusher
from bridge.cohorts.apply.rescan import release, settle, weigh
from bridge.cohorts.messages import Message, PageMessage, SettleMessage, WeighMessage


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
