"""Takes cohort syncs and enqueues them: Mixpanel's webhook, and Braze's cohort import.

The cohort import is the protocol in which Mixpanel itself sends cohorts to Braze, so a
sender that has a data import key and a REST endpoint can be pointed here.

The status is part of the protocol: 400, 401, 403 and 404 pause the customer's sync
until a person resumes it; 429 and 5xx are retried. So a 4xx answers only what the
customer must correct, and every fault of ours is a 503.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from bridge.aws import clients, http_api
from bridge.aws.dynamodb import Table
from bridge.aws.http_api import Answer, Request
from bridge.cohorts.adapters.dynamodb_page_log import DynamoPageLog
from bridge.cohorts.adapters.s3_pages import S3PageStore
from bridge.cohorts.adapters.sqs_queue import SqsQueue
from bridge.cohorts.intake import partner_import
from bridge.cohorts.intake.call import Call
from bridge.cohorts.intake.partner_import import answer_import
from bridge.cohorts.intake.webhook import answer_webhook
from bridge.cohorts.rules.identifiers import parse_sources
from bridge.credentials import Secret, WebhookCredentials
from bridge.mixpanel.cohort_webhook import failure
from bridge.observability import Metric, observed
from bridge.quarantine import Quarantine
from bridge.settings import CohortRoute, CohortWebhookSettings


class Webhook:
    """What the function holds between invocations."""

    def __init__(self) -> None:
        settings = CohortWebhookSettings.load()
        s3 = clients.create("s3")
        partner = settings.cohort_route is CohortRoute.PARTNER
        self.sources = parse_sources(settings.identifiers, partner=partner)
        self.secret = Secret(settings.webhook_secret_arn, WebhookCredentials)
        self.table = Table(clients.create("dynamodb"), settings.ledger_table)
        self.pages = S3PageStore(s3, settings.data_bucket)
        self.queue = SqsQueue(clients.create("sqs"), settings.cohort_queue_url)
        self.quarantine = Quarantine(s3, settings.data_bucket, "cohorts")

    def respond(self, request: Request) -> Answer:
        """Answer one call in its protocol; raises whatever must become a 503."""
        call = Call(
            request,
            self.secret,
            self._ledger(request),
            self.pages,
            self.queue,
            self.quarantine,
        )
        if _is_import(request.route):
            return answer_import(call)
        return answer_webhook(call, self.sources)

    def _ledger(self, request: Request) -> DynamoPageLog:
        return DynamoPageLog(self.table, request.arrived_ms / 1000)


webhook = cache(Webhook)


@observed
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one call of the HTTP API."""
    return http_api.serve(
        event,
        lambda request: webhook().respond(request),
        failure="page not accepted",
        deferred=Metric.PAGES_DEFERRED,
        unavailable=_unavailable,
    )


def _unavailable(route: str) -> Mapping[str, Any]:
    message = "not accepted just now, try again"
    if _is_import(route):
        return {"message": message}
    return failure(None, 503, message)


def _is_import(route: str) -> bool:
    return route.startswith(partner_import.ROUTES)
