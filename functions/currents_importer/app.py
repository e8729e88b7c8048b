"""Delivers batches of stream records to Mixpanel, and defers what has to wait.

The answer names the first record that is deferred: Kinesis takes the lowest failed
position as its checkpoint, so naming more would say nothing more.
"""

import binascii
import gc
from collections.abc import Callable
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import pybase64
from aws_lambda_powertools.utilities.typing import LambdaContext

from bridge.aws import clients
from bridge.credentials import MixpanelCredentials, Secret
from bridge.currents.delivery.batch import StreamRecord
from bridge.currents.delivery.conclude import (
    SECONDS_FOR_QUARANTINE,
    DriftLog,
    report,
    require_closed,
    write_quarantine,
    write_samples,
)
from bridge.currents.delivery.deliver import Delivery
from bridge.currents.delivery.warm_state import WarmState
from bridge.currents.rules_source import CachedMapper, RulesFile
from bridge.currents.stream.arrival import first_arrival
from bridge.currents.stream.pack import compress
from bridge.errors import BridgeError, CredentialsRejected
from bridge.mixpanel.client import ANSWER_SECONDS, POLICY, LoginPause, MixpanelClient
from bridge.observability import Metric, count, log_fault, logger, observed
from bridge.quarantine import Quarantine
from bridge.settings import CurrentsImporterSettings, MassRejection
from bridge.transport import Transport

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class Importer:
    """What the function holds between invocations."""

    def __init__(self) -> None:
        settings = CurrentsImporterSettings.load()
        self.breaker = settings.mass_rejection is MassRejection.WAIT
        self.secret = Secret(settings.mixpanel_secret_arn, MixpanelCredentials)
        self.transport = Transport(
            "mixpanel",
            settings.ingestion_url,
            policy=POLICY,
            read_timeout=ANSWER_SECONDS,
        )
        self.bucket = settings.data_bucket
        key = settings.rules_key
        rules = RulesFile(self.s3, self.bucket, key) if key else None
        self.mapper = CachedMapper(
            settings.anonymous_users,
            rules,
            self.secret,
            without_user=settings.events_without_user,
        )
        self.login_pause = LoginPause()
        self.warm_state = WarmState()
        self.drift = DriftLog()

    @cached_property
    def s3(self) -> "S3Client":
        """Created when first needed: without rules, a sound batch needs no S3."""
        client: S3Client = clients.create("s3")
        return client

    @cached_property
    def quarantine(self) -> Quarantine:
        """Where undeliverable events go."""
        return Quarantine(self.s3, self.bucket, "currents")

    def deliver(
        self, records: list[StreamRecord], time_left: Callable[[], float]
    ) -> int | None:
        """Deliver a batch; the number of the first deferred record, if there is one."""

        def calling_time() -> float:
            return time_left() - SECONDS_FOR_QUARANTINE

        outcome = Delivery(
            MixpanelClient(
                self.transport, self.secret, compress, calling_time, self.login_pause
            ),
            self.mapper.get(),
            calling_time,
            self.warm_state,
            breaker=self.breaker,
        ).run(records)
        if outcome.quarantined:
            write_quarantine(outcome, records, self.quarantine, time_left)
        if outcome.samples:
            write_samples(outcome, records, self.quarantine)
        report(outcome, self.drift)
        require_closed(outcome.accounts)
        return outcome.defer_from


importer = cache(Importer)

# What the imports made lives as long as the process: no collection need look at it.
gc.freeze()


def _record(kinesis: dict[str, Any], shard: str) -> StreamRecord:
    """Data that is not base64 stays as it is; the decoder quarantines it."""
    try:
        # By position: naming the arguments costs as much again as the decoding.
        data = pybase64.b64decode(kinesis["data"], None, True)
    except (binascii.Error, ValueError):
        data = str(kinesis["data"]).encode()
    arrived = first_arrival(
        kinesis.get("partitionKey", ""), float(kinesis["approximateArrivalTimestamp"])
    )
    # The same as StreamRecord(…), at half the price.
    return tuple.__new__(
        StreamRecord, (f"{shard}:{kinesis['sequenceNumber']}", arrived, data)
    )


@observed
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Deliver one batch; Kinesis delivers it again from the first deferred record."""

    def time_left() -> float:
        return context.get_remaining_time_in_millis() / 1000

    records = event["Records"]
    first: int | None = 0
    try:
        # All records of a batch are from one shard.
        shard = records[0].get("eventID", "").partition(":")[0] if records else ""
        batch = [_record(each["kinesis"], shard) for each in records]
        first = importer().deliver(batch, time_left)
    except BridgeError as error:
        logger.error("batch deferred", reason=error.reason, why=str(error))
        count(Metric.EVENTS_DEFERRED)
        if isinstance(error, CredentialsRejected):
            # Not by Mixpanel: the secret was needed before, for the rules' hashes.
            count(Metric.CREDENTIALS_REJECTED)
    except Exception as error:
        log_fault("batch deferred", error)
    if first is None:
        return {"batchItemFailures": []}
    failed = records[first]["kinesis"]["sequenceNumber"]
    return {"batchItemFailures": [{"itemIdentifier": failed}]}
