"""The queue between the webhook and the consumer."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from bridge.cohorts.cohort_messages import Message


class Queue(Protocol):
    """The FIFO queue of messages."""

    def send(self, message: "Message") -> None:
        """Enqueue; the queue drops an equal message within five minutes."""
