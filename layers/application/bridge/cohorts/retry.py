"""When a message that failed is delivered again.

In a FIFO group the messages behind a failed one have to wait as long as it does, so
they get the same pause and not the queue's long visibility timeout.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge.errors import BridgeError, CredentialsRejected, RetryableError
from bridge.observability import Metric, count, log_fault, logger

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

FIRST_PAUSE = 2
MAX_PAUSE = 900
"""Seconds before a failed message is delivered again; doubled at each receipt."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """One delivery of a message: FIFO group, handle, and number of receipts so far."""

    group: str
    handle: str
    received: int


def pause_after(error: BaseException, received: int) -> int:
    """Seconds: the vendor's wish, or a pause that doubles with each receipt."""
    if isinstance(error, RetryableError) and error.retry_after is not None:
        return max(1, min(int(error.retry_after) + 1, MAX_PAUSE))
    return int(min(FIRST_PAUSE * 2 ** min(received - 1, 10), MAX_PAUSE))


class GroupPauses:
    """The pauses of the FIFO groups of one batch."""

    def __init__(self, sqs: "SQSClient", queue_url: str) -> None:
        self._sqs = sqs
        self._queue_url = queue_url
        self._seconds: dict[str, int] = {}

    def defer(self, receipt: Receipt, error: BaseException) -> None:
        """Note how long the group of a failed message pauses."""
        self._seconds[receipt.group] = pause_after(error, receipt.received)

    def apply(self, deferred: Iterable[Receipt]) -> None:
        """Set when the deferred messages are delivered again.

        A pause that cannot be set is logged: the queue's own time-out then holds.
        """
        for receipt in deferred:
            try:
                self._sqs.change_message_visibility(
                    QueueUrl=self._queue_url,
                    ReceiptHandle=receipt.handle,
                    VisibilityTimeout=self._seconds.get(receipt.group, FIRST_PAUSE),
                )
            except Exception as error:  # noqa: BLE001 - any failure has the same answer
                log_fault("pause not set", error)


def log_deferred(what: str, error: BaseException) -> None:
    """Log why something is left to its next delivery; a fault as `log_fault` does."""
    if not isinstance(error, BridgeError):
        log_fault(what, error)
        return
    if isinstance(error, CredentialsRejected):
        count(Metric.CREDENTIALS_REJECTED)
    logger.warning(what, reason=error.reason, why=str(error))
