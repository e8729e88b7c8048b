"""Takes cohort syncs and enqueues them: Mixpanel's webhook, and Braze's cohort import.

The second is what Mixpanel itself speaks to Braze, so that a sender that has a data
import key and a REST endpoint can be pointed here. Both end in the same accept step.

The status is part of the protocol: 400, 401, 403 and 404 pause the customer's sync
until a person resumes it, 429 and 5xx are retried. So a 4xx is given only for what the
customer must mend, and every fault of ours is a 503.
"""

from datetime import UTC, datetime
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from bridge import validation
from bridge.authentication import basic_matches, key_matches
from bridge.aws import clients, http_api
from bridge.aws.dynamodb import Table
from bridge.braze.partner_cohorts import server
from bridge.cohorts.adapters.dynamodb_ledger import DynamoLedger
from bridge.cohorts.adapters.s3_pages import S3PageStore
from bridge.cohorts.adapters.sqs_queue import SqsQueue
from bridge.cohorts.intake.accept import Accepted
from bridge.cohorts.intake.partner_import import accept_changes, accept_naming
from bridge.cohorts.intake.webhook import accept
from bridge.cohorts.rules.identifiers import parse_sources
from bridge.credentials import Secret, WebhookCredentials
from bridge.errors import BridgeError, MalformedInput
from bridge.mixpanel.cohort_webhook import action_of, failure, parse, success
from bridge.observability import Metric, count, log_fault, logger, metrics
from bridge.quarantine import Quarantine, QuarantinedItem
from bridge.settings import CohortWebhookSettings

PARTNERS = "POST /partners/"
MAX_PARTNER = 64
_DEFERRED = "not accepted just now, try again"


class Webhook:
    """What the function holds between invocations."""

    def __init__(self) -> None:
        settings = CohortWebhookSettings.load()
        s3 = clients.create("s3")
        self.sources = parse_sources(settings.identifiers)
        self.secret = Secret(settings.webhook_secret_arn, WebhookCredentials)
        self.table = Table(clients.create("dynamodb"), settings.ledger_table)
        self.pages = S3PageStore(s3, settings.data_bucket)
        self.queue = SqsQueue(clients.create("sqs"), settings.cohort_queue_url)
        self.quarantine = Quarantine(s3, settings.data_bucket, "cohorts")

    def respond(self, request: http_api.Request) -> tuple[int, dict[str, Any]]:
        """Authenticate, validate, accept; raises what is to become a 503."""
        if request.route.startswith(PARTNERS):
            return self._import(request)
        if not self._is_known(request.authorization):
            count(Metric.UNAUTHORIZED)
            return 401, failure(None, 401, "the user name or the password is wrong")
        body = b""
        try:
            body = request.body()
            postback = parse(body)
        except MalformedInput as error:
            original = body or request.encoded.encode("utf-8", "surrogatepass")
            # It may be a call of the other protocol, with its keys, gone astray.
            self._keep(request, server.without_keys(original, None), error)
            return 400, failure(action_of(body), 400, str(error))
        accepted = accept(
            postback,
            request.arrived_ms,
            sources=self.sources,
            ledger=self._ledger(request),
            pages=self.pages,
            queue=self.queue,
        )
        _report(accepted)
        return 200, success(postback.action)

    def _import(self, request: http_api.Request) -> tuple[int, dict[str, Any]]:
        """One call of the cohort import; the keys are judged before all else."""
        if not self._opens_import():
            count(Metric.UNAUTHORIZED)
            return 401, {"message": server.WRONG_PARTNER_KEY}
        body, data = b"", None
        try:
            body = request.body()
            data = validation.load_object(body)
            refused = self._refusal(server.keys_of(data))
            if refused:
                count(Metric.UNAUTHORIZED)
                return 401, {"message": refused}
            self._accept_import(request, data)
            count(Metric.IMPORT_CALLS)
        except MalformedInput as error:
            # What cannot be read is kept only for those who show the right keys.
            if data is not None or not self._refusal(server.keys_in(body)):
                self._keep(request, server.without_keys(body, data), error)
            else:
                count(Metric.UNAUTHORIZED)
            return 400, {"message": str(error)}
        return 201, {"message": "success"}

    def _accept_import(self, request: http_api.Request, data: dict[str, Any]) -> None:
        partner = request.path_parameters.get("partner", "")
        if not 0 < len(partner) <= MAX_PARTNER:
            raise MalformedInput("partner", "the partner's name is too long")
        ledger = self._ledger(request)
        if not request.route.endswith("/users"):
            naming = server.read_naming(data)
            accept_naming(partner, naming, ledger=ledger)
            logger.info("cohort named", project=partner, cohort=naming.cohort_id)
            return
        for accepted in accept_changes(
            partner,
            server.read_changes(data),
            request.id,
            request.arrived_ms,
            ledger=ledger,
            pages=self.pages,
            queue=self.queue,
        ):
            _report(accepted)

    def _ledger(self, request: http_api.Request) -> DynamoLedger:
        return DynamoLedger(self.table, request.arrived_ms / 1000)

    def _opens_import(self) -> bool:
        """Whether there are keys at all; without, no body is worth reading."""
        return self.secret.get().opens_import or self.secret.refreshed().opens_import

    def _refusal(self, keys: server.Keys) -> str | None:
        """Why the keys do not open the cohort import, in Braze's words."""
        refused = _judge(keys, self.secret.get())
        # Perhaps a key was added a moment ago.
        return refused and _judge(keys, self.secret.refreshed())

    def _is_known(self, header: str | None) -> bool:
        if basic_matches(header, self.secret.get().credentials):
            return True
        # Perhaps the password was changed a moment ago.
        return header is not None and basic_matches(
            header, self.secret.refreshed().credentials
        )

    def _keep(
        self, request: http_api.Request, original: bytes, error: MalformedInput
    ) -> None:
        item = QuarantinedItem(
            original=original,
            reason=error.reason,
            field=error.field,
            message=str(error),
            position=request.id,
        )
        arrived = datetime.fromtimestamp(request.arrived_ms / 1000, UTC)
        key = self.quarantine.put(request.id, arrived, [item])
        count(Metric.PAGES_REFUSED)
        logger.warning("page refused", reason=error.reason, kept=key)


def _judge(keys: server.Keys, known: WebhookCredentials) -> str | None:
    partner = key_matches(keys.partner_api_key, known.partner_api_keys)
    client = key_matches(keys.client_secret, known.data_import_keys)
    if not partner:
        return server.WRONG_PARTNER_KEY
    return None if client else server.WRONG_IMPORT_KEY


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
        request = http_api.Request.from_event(event)
        status, body = webhook().respond(request)
    except BridgeError as error:
        logger.error("page not accepted", reason=error.reason, why=str(error))
        status, body = _defer(event)
    except Exception as error:
        log_fault("page not accepted", error)
        status, body = _defer(event)
    return http_api.answer(status, body)


def _defer(event: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    count(Metric.PAGES_DEFERRED)
    if str(event.get("routeKey")).startswith(PARTNERS):
        return 503, {"message": _DEFERRED}
    return 503, failure(None, 503, _DEFERRED)
