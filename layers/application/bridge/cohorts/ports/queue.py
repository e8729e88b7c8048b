"""The queue between the webhook and the consumer."""

from typing import Protocol

from bridge.cohorts.messages import Message


class Queue(Protocol):
    """The FIFO queue of messages."""

    def send(self, message: Message) -> None:
        """Enqueue; the queue drops an equal message within five minutes."""
