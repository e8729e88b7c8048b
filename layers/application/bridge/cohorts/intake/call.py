"""What both protocols share: one call with all that answering it takes."""

from dataclasses import dataclass

from bridge.aws.http_api import Request
from bridge.cohorts.intake.accept import Accepted
from bridge.cohorts.ports.page_log import PageLog
from bridge.cohorts.ports.page_store import PageStore
from bridge.cohorts.ports.queue import Queue
from bridge.credentials import Secret, WebhookCredentials
from bridge.errors import MalformedInput
from bridge.observability import Metric, count, logger, redact
from bridge.quarantine import Quarantine, QuarantinedItem


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the HTTP API, the credentials that open it, and our stores."""

    request: Request
    secret: Secret[WebhookCredentials]
    ledger: PageLog
    pages: PageStore
    queue: Queue
    quarantine: Quarantine

    def quarantine_body(self, original: bytes, error: MalformedInput) -> None:
        """Quarantine a refused body, from which the sender's keys have been struck.

        Our own, which opened the door, are struck here, wherever they stand.
        """
        item = QuarantinedItem(
            original=redact(original.decode("utf-8", "surrogateescape")).encode(
                "utf-8", "surrogateescape"
            ),
            reason=error.reason,
            field=error.field,
            message=str(error),
            position=self.request.id,
        )
        key = self.quarantine.put(self.request.id, self.request.arrived, [item])
        count(Metric.PAGES_REFUSED)
        logger.warning(
            "page refused",
            reason=error.reason,
            field=error.field,
            why=str(error),
            quarantine=key,
        )


def report(accepted: Accepted) -> None:
    """Count and log an accepted page, without its members."""
    skipped = accepted.skipped.total()
    count(Metric.PAGES_ACCEPTED)
    count(Metric.MEMBERS_RECEIVED, accepted.matched + skipped)
    count(Metric.MEMBERS_SKIPPED, skipped)
    logger.info(
        "page accepted",
        project=accepted.key.project,
        cohort=accepted.key.cohort,
        sync=accepted.seq,
        repeated=accepted.repeated,
        matched=accepted.matched,
        skipped=dict(accepted.skipped),
    )
