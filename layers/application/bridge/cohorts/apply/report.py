"""Count and log what a message brought about, and quarantine one that never will."""

from datetime import datetime

from bridge.cohorts.apply.context import Applied
from bridge.errors import PermanentError
from bridge.observability import Metric, count, logger
from bridge.quarantine import Quarantine, QuarantinedItem


def report(applied: Applied) -> None:
    """Count and log a message that was carried out, without its members."""
    count(Metric.MESSAGES_PROCESSED)
    count(Metric.MEMBERS_PUSHED, applied.pushed)
    count(Metric.MEMBERS_REJECTED, applied.rejected.total())
    count(Metric.MEMBERS_SKIPPED, applied.skipped.total())
    count(Metric.REMOVALS_HELD, applied.held_removals)
    count(Metric.LISTS_MISLABELLED, applied.mislabelled)
    count(Metric.IDENTIFIERS_LOST, applied.lost)
    count(Metric.IDENTIFIERS_KEPT, applied.kept)
    if applied.held_removals:
        logger.error("removal held: it would take out too many members at once")
    if applied.mislabelled:
        logger.error("a diff looks like the full list: nobody was taken out by it")
    if applied.lost:
        logger.error("most profiles have lost their identifiers", lost=applied.lost)
    logger.info(
        "message processed",
        pushed=applied.pushed,
        rejected=dict(applied.rejected),
        skipped=dict(applied.skipped),
        kept=applied.kept,
    )


def quarantine_message(
    quarantine: Quarantine,
    name: str,
    sent_at: datetime,
    text: str,
    position: str,
    error: PermanentError,
) -> None:
    """Quarantine a message that can never be carried out; its sync stays open.

    Raises `RetryableError` when it cannot be written.
    """
    item = QuarantinedItem(
        original=text.encode(),
        reason=error.reason,
        message=str(error),
        position=position,
    )
    key = quarantine.put(name, sent_at, [item])
    count(Metric.PAGES_QUARANTINED)
    logger.error("page quarantined", reason=error.reason, quarantine=key)
