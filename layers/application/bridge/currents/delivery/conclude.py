"""Conclude a batch: write its quarantine, report its outcome, check its accounts."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from bridge.accounts import Accounts
from bridge.currents.delivery.batch import StreamRecord
from bridge.currents.delivery.mass_rejection import BreakerOpen
from bridge.currents.delivery.outcome import Outcome
from bridge.errors import CredentialsRejected, RetryableError
from bridge.observability import Metric, count, logger, metrics, plain_name
from bridge.quarantine import SAMPLES, Quarantine
from bridge.reasons import Reason

SECONDS_FOR_QUARANTINE = 6.0
"""Left by delivery for the quarantine: calls to Mixpanel end before."""

SECONDS_FOR_ANSWER = 2.0
"""Left by the quarantine for the function's answer; what is unwritten is deferred."""

MAX_DRIFT_NAMES = 200
"""Names that one process reports; what Braze names a property may be any text."""


class DriftLog:
    """Logs names that the catalog does not contain: each once in a process's life."""

    def __init__(self) -> None:
        self._logged: set[str] = set()
        self._long: set[str] = set()

    def add(self, names: Iterable[str]) -> None:
        """Log the new names among these; they never come with values."""
        room = MAX_DRIFT_NAMES - len(self._logged)
        new = sorted(set(map(plain_name, names)) - self._logged)[:room]
        if new:
            self._logged.update(new)
            logger.warning("unknown to the catalog, sent unchanged", names=new)

    def add_long(self, names: Iterable[str]) -> None:
        """Log the new names among these by their beginnings: Mixpanel cuts them."""
        new = sorted(set(names) - self._long)
        if new:
            from bridge.mixpanel.rejections import plain_field

            self._long.update(new)
            logger.warning(
                "longer than the 255 characters that Mixpanel keeps, so that names "
                "which agree in these become one",
                names=[plain_field(name[:64].strip()) for name in new],
            )


def write_quarantine(
    outcome: Outcome,
    records: Sequence[StreamRecord],
    quarantine: Quarantine,
    time_left: Callable[[], float],
) -> None:
    """Write the quarantined items, an object a record, in the order of the stream.

    Where S3 fails or time runs short, that record and all after it are deferred.
    """
    for written, number in enumerate(sorted(outcome.quarantined)):
        # The first is always written, so that every invocation makes progress.
        if written and time_left() < SECONDS_FOR_ANSWER:
            late = RetryableError(
                Reason.OUT_OF_TIME, "the rest is quarantined next time"
            )
            outcome.defer(number, late)
            return
        record = records[number]
        arrived = datetime.fromtimestamp(record.arrived, UTC)
        name = record.position.replace(":", "-")
        try:
            quarantine.put(name, arrived, outcome.quarantined[number])
        except RetryableError as error:
            outcome.defer(number, error)
            return


def write_samples(
    outcome: Outcome, records: Sequence[StreamRecord], quarantine: Quarantine
) -> None:
    """Write the samples of a mass rejection; a later try overwrites those of this one.

    Where S3 fails, the stream waits without them.
    """
    if outcome.samples and outcome.defer_from is not None:
        record = records[outcome.defer_from]
        arrived = datetime.fromtimestamp(record.arrived, UTC)
        name = f"{record.position.replace(':', '-')}{SAMPLES}"
        with suppress(RetryableError):
            quarantine.put(name, arrived, outcome.samples)


def report(outcome: Outcome, drift: DriftLog) -> None:
    """Count and log what became of the batch."""
    accounts = outcome.accounts
    count(Metric.EVENTS_RECEIVED, accounts.received)
    count(Metric.EVENTS_DELIVERED, accounts.delivered)
    count(Metric.EVENTS_FILTERED, accounts.filtered.total())
    count(Metric.EVENTS_QUARANTINED, accounts.quarantined.total())
    count(Metric.EVENTS_DEFERRED, accounts.deferred)
    count(Metric.EVENTS_RESHAPED, outcome.reshaped.total())
    by_event = {event: dict(+counts) for event, counts in outcome.by_event.items()}
    summary = accounts.summary() | {"reshaped": dict(outcome.reshaped)}
    logger.info("batch delivered", extra={**summary, "by_event": by_event})
    if error := outcome.error:
        if isinstance(error, CredentialsRejected):
            count(Metric.CREDENTIALS_REJECTED)
        said = {}
        if isinstance(error, BreakerOpen):
            count(Metric.MASS_REJECTIONS)
            said = error.rejections._asdict()
            metrics.add_metadata(Reason.MASS_REJECTION, said)
        logger.warning("batch deferred", reason=error.reason, why=str(error), **said)
    drift.add(outcome.drift)
    drift.add_long(outcome.long_names)


def require_closed(accounts: Accounts) -> None:
    """Raise `RetryableError` if an event was lost or counted twice."""
    if not accounts.closed:
        count(Metric.ACCOUNTS_UNBALANCED)
        raise RetryableError(
            Reason.ACCOUNTS, "events received and accounted for differ"
        )
