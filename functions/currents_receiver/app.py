"""Takes the calls of Braze Currents' HTTP connector and stores their events.

Braze's custom HTTP connector defines the answers: 2xx only when every event is stored,
401 only for a wrong token, 503 for every fault of ours, and never a 400.
"""

from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from bridge.aws import clients, http_api
from bridge.aws.http_api import Answer, Request
from bridge.credentials import CurrentsCredentials, Secret
from bridge.currents.intake.http import answer_call
from bridge.currents.stream.kinesis import Stream
from bridge.observability import Metric, observed
from bridge.quarantine import Quarantine
from bridge.settings import CurrentsReceiverSettings


class Receiver:
    """What the function holds between invocations."""

    def __init__(self) -> None:
        settings = CurrentsReceiverSettings.load()
        s3 = clients.create("s3")
        self.secret = Secret(settings.currents_secret_arn, CurrentsCredentials)
        self.stream = Stream(clients.create("kinesis"), settings.currents_stream)
        self.quarantine = Quarantine(s3, settings.data_bucket, "currents")

    def respond(self, request: Request) -> Answer:
        """Answer one call; raises whatever must become a 503."""
        return answer_call(
            request,
            secret=self.secret,
            stream=self.stream,
            quarantine=self.quarantine,
        )


receiver = cache(Receiver)


@observed
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one call of the HTTP API."""
    return http_api.serve(
        event,
        lambda request: receiver().respond(request),
        failure="call not stored",
        deferred=Metric.CALLS_DEFERRED,
        unavailable=lambda _: {"message": "not stored just now, try again"},
    )
