"""Takes Braze Currents over HTTP and packs it into the stream.

Answers follow Braze's custom HTTP connector: 2xx only when all is stored, 401 only for
a wrong token, 503 for every fault of ours, and never a 400.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from bridge.authentication import bearer_matches
from bridge.aws import clients, http_api
from bridge.credentials import CurrentsCredentials, Secret
from bridge.currents.intake.http import receive
from bridge.currents.stream.kinesis import Stream
from bridge.errors import BridgeError, MalformedInput
from bridge.observability import Metric, count, log_fault, logger, metrics
from bridge.quarantine import Quarantine, QuarantinedItem
from bridge.settings import CurrentsReceiverSettings


class Receiver:
    """What the function holds between invocations."""

    def __init__(self) -> None:
        settings = CurrentsReceiverSettings.load()
        self.secret = Secret(settings.currents_secret_arn, CurrentsCredentials)
        self.stream = Stream(clients.create("kinesis"), settings.currents_stream)
        self.quarantine = Quarantine(
            clients.create("s3"), settings.data_bucket, "currents"
        )

    def respond(self, request: http_api.Request) -> tuple[int, dict[str, Any]]:
        """Authenticate, then store; raises what is to become a 503."""
        if not self._is_known(request.authorization):
            count(Metric.UNAUTHORIZED)
            return 401, {"message": "the token is wrong"}

        def quarantine(items: Sequence[QuarantinedItem]) -> None:
            arrived = datetime.fromtimestamp(request.arrived_ms / 1000, UTC)
            key = self.quarantine.put(request.id, arrived, items)
            count(Metric.EVENTS_QUARANTINED, len(items))
            reasons = sorted({item.reason for item in items})
            logger.warning("put aside", reasons=reasons, kept=key)

        try:
            body = request.body()
        except MalformedInput:
            body = request.encoded.encode("utf-8", "surrogatepass")
        received = receive(body, request.id, self.stream, quarantine)
        count(Metric.CALLS_RECEIVED)
        logger.info("call received", events=received.events, bytes=len(body))
        answer = {"events": received.events, "quarantined": received.quarantine}
        return 200, {"message": "stored", **answer}

    def _is_known(self, header: str | None) -> bool:
        if bearer_matches(header, self.secret.get().tokens):
            return True
        # Perhaps the token was changed a moment ago.
        return header is not None and bearer_matches(
            header, self.secret.refreshed().tokens
        )


receiver = cache(Receiver)


@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one call of the HTTP API."""
    try:
        request = http_api.Request.from_event(event)
        status, body = receiver().respond(request)
    except BridgeError as error:
        logger.error("call not stored", reason=error.reason, why=str(error))
        status, body = _defer()
    except Exception as error:
        log_fault("call not stored", error)
        status, body = _defer()
    return http_api.answer(status, body)


def _defer() -> tuple[int, dict[str, Any]]:
    count(Metric.CALLS_DEFERRED)
    return 503, {"message": "not stored just now, try again"}
