"""Carry out one message of the queue."""

from bridge.cohorts.apply.context import Applied, Context
from bridge.cohorts.apply.correct import correct
from bridge.cohorts.apply.crash_poison import (
    SUSPECT_RECEIPTS,
    apply_in_shrinking_steps,
)
from bridge.cohorts.apply.page import apply_in_steps, apply_page
from bridge.cohorts.apply.push import recover
from bridge.cohorts.apply.removal_guard import measure_removal, release
from bridge.cohorts.apply.rescan import rescan
from bridge.cohorts.apply.retry_rejected import retry_rejected
from bridge.cohorts.cohort_messages import (
    CorrectMessage,
    MeasureRemovalMessage,
    Message,
    RescanMessage,
    RetryRejectedMessage,
)
from bridge.cohorts.messages import PageMessage


def consume(context: Context, message: Message, received: int = 1) -> Applied:
    """Carry out one message, delivered `received` times; safe to repeat.

    Raises `RetryableError` when it has to be deferred and `PermanentError` when it can
    never be carried out.
    """
    recover(context, message.key)
    return carry_out(context, message, received)


def carry_out(context: Context, message: Message, received: int = 1) -> Applied:
    """As `consume`, once the cohort has been recovered."""
    if isinstance(message, PageMessage):
        is_suspect = received >= SUSPECT_RECEIPTS
        steps = apply_in_shrinking_steps if is_suspect else apply_in_steps
        return apply_page(context, message, steps)
    if isinstance(message, RescanMessage):
        return rescan(context, message)
    if isinstance(message, CorrectMessage):
        return correct(context, message)
    if isinstance(message, MeasureRemovalMessage):
        return measure_removal(context, message)
    if isinstance(message, RetryRejectedMessage):
        return retry_rejected(context, message)
    return release(context, message)
