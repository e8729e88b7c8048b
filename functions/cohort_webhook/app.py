"""Takes Mixpanel's cohort syncs and enqueues them.

The status is part of the protocol: 400, 401, 403 and 404 pause the customer's sync
until a person resumes it, 429 and 5xx are retried. So a 4xx is given only for what the
customer must mend, and every fault of ours is a 503.
"""

from datetime import UTC, datetime
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from bridge import aws, gateway
from bridge.authentication import basic_matches
from bridge.cohorts.accept import Accepted, accept
from bridge.cohorts.identity import parse_sources
from bridge.cohorts.ledger import DynamoLedger
from bridge.cohorts.stores import S3PageStore, SqsQueue
from bridge.cohorts.table import Table
from bridge.credentials import Secret, WebhookCredentials
from bridge.errors import BridgeError, MalformedInput
from bridge.mixpanel.cohort_webhook import action_of, failure, parse, success
from bridge.observability import Metric, count, log_fault, logger, metrics
from bridge.quarantine import Quarantine, QuarantinedItem
from bridge.settings import CohortWebhookSettings


class Webhook:
    """What the function holds between invocations."""

    def __init__(self) -> None:
        settings = CohortWebhookSettings.load()
        s3 = aws.client("s3")
        self.sources = parse_sources(settings.identifiers)
        self.secret = Secret(settings.webhook_secret_arn, WebhookCredentials)
        self.table = Table(aws.client("dynamodb"), settings.ledger_table)
        self.pages = S3PageStore(s3, settings.data_bucket)
        self.queue = SqsQueue(aws.client("sqs"), settings.cohort_queue_url)
        self.quarantine = Quarantine(s3, settings.data_bucket, "cohorts")

    def respond(self, request: gateway.Request) -> tuple[int, dict[str, Any]]:
        """Authenticate, validate, accept; raises what is to become a 503."""
        if not self._is_known(request.authorization):
            count(Metric.UNAUTHORIZED)
            return 401, failure(None, 401, "the user name or the password is wrong")
        body = b""
        try:
            body = request.body()
            postback = parse(body)
        except MalformedInput as error:
            self._keep(request, body, error)
            return 400, failure(action_of(body), 400, str(error))
        accepted = accept(
            postback,
            request.arrived_ms,
            sources=self.sources,
            ledger=DynamoLedger(self.table, request.arrived_ms / 1000),
            pages=self.pages,
            queue=self.queue,
        )
        _report(accepted)
        return 200, success(postback.action)

    def _is_known(self, header: str | None) -> bool:
        if basic_matches(header, self.secret.get().credentials):
            return True
        # Perhaps the password was changed a moment ago.
        return header is not None and basic_matches(
            header, self.secret.refreshed().credentials
        )

    def _keep(
        self, request: gateway.Request, body: bytes, error: MalformedInput
    ) -> None:
        item = QuarantinedItem(
            original=body or request.encoded.encode("utf-8", "surrogatepass"),
            reason=error.reason,
            field=error.field,
            message=str(error),
            position=request.id,
        )
        arrived = datetime.fromtimestamp(request.arrived_ms / 1000, UTC)
        key = self.quarantine.put(request.id, arrived, [item])
        count(Metric.PAGES_REFUSED)
        logger.warning("page refused", reason=error.reason, kept=key)


def _report(accepted: Accepted) -> None:
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


webhook = cache(Webhook)


@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one call of the HTTP API."""
    try:
        request = gateway.Request.from_event(event)
        status, body = webhook().respond(request)
    except BridgeError as error:
        logger.error("page not accepted", reason=error.reason, why=str(error))
        status, body = _put_off()
    except Exception as error:
        log_fault("page not accepted", error)
        status, body = _put_off()
    return gateway.answer(status, body)


def _put_off() -> tuple[int, dict[str, Any]]:
    count(Metric.PAGES_PUT_OFF)
    return 503, failure(None, 503, "not accepted just now, try again")
