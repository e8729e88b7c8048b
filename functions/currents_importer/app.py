"""Turns stream records into Mixpanel imports and hands back what has to wait.

The answer names the first record that is not settled: Kinesis takes the lowest failed
position as its checkpoint, so naming more would say nothing more.
"""

import binascii
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import pybase64
from aws_lambda_powertools.utilities.typing import LambdaContext

from bridge.aws import clients
from bridge.credentials import MixpanelCredentials, Secret
from bridge.currents.delivery.batch import StreamRecord
from bridge.currents.delivery.deliver import Delivery
from bridge.currents.delivery.outcome import Outcome
from bridge.currents.delivery.warm_state import WarmState
from bridge.currents.rules_source import CachedMapper, RulesFile
from bridge.currents.stream.arrival import first_arrival
from bridge.currents.stream.pack import compress
from bridge.errors import BridgeError, CredentialsRejected, RetryableError
from bridge.mixpanel.client import ANSWER_SECONDS, POLICY, MixpanelClient
from bridge.observability import Metric, count, log_fault, logger, metrics, plain_name
from bridge.quarantine import Quarantine
from bridge.settings import CurrentsImporterSettings, MassRejection
from bridge.transport import Transport

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SECONDS_FOR_QUARANTINE = 6.0
"""Left at the end for the quarantine; calls to Mixpanel end before."""

SECONDS_FOR_ANSWER = 2.0
"""Left for the answer; what the quarantine did not get by then waits."""

DRIFT_NAMES = 200
"""So many unknown names a process reports, each once; such names can be any text."""


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
        self.mapper = CachedMapper(settings.anonymous_users, rules, self.secret)
        self.warm_state = WarmState()
        self.reported: set[str] = set()

    @cached_property
    def s3(self) -> "S3Client":
        """Only now, for without rules a good batch needs none."""
        client: S3Client = clients.create("s3")
        return client

    @cached_property
    def quarantine(self) -> Quarantine:
        """Where this function puts aside."""
        return Quarantine(self.s3, self.bucket, "currents")

    def run(
        self, records: list[StreamRecord], time_left: Callable[[], float]
    ) -> int | None:
        """Deliver and put aside; the number of the first record to come again."""

        def calling_time() -> float:
            return time_left() - SECONDS_FOR_QUARANTINE

        client = MixpanelClient(self.transport, self.secret, compress, calling_time)
        done = Delivery(
            client,
            self.mapper.get(),
            calling_time,
            self.warm_state,
            breaker=self.breaker,
        ).run(records)
        self._keep(done, records, time_left)
        self._report(done)
        if not done.accounts.closed:
            count(Metric.ACCOUNTS_UNBALANCED)
            raise RetryableError("accounts", "what came in and went out differ")
        return done.defer_from

    def _keep(
        self,
        done: Outcome,
        records: list[StreamRecord],
        time_left: Callable[[], float],
    ) -> None:
        """Write the quarantine, in order; from where that fails the stream waits."""
        for written, number in enumerate(sorted(done.quarantined)):
            if written and time_left() < SECONDS_FOR_ANSWER:
                waits = RetryableError("out_of_time", "the quarantine has to wait")
                done.defer(number, waits)
                return
            record = records[number]
            arrived = datetime.fromtimestamp(record.arrived, UTC)
            name = record.position.replace(":", "-")
            try:
                self.quarantine.put(name, arrived, done.quarantined[number])
            except RetryableError as error:
                done.defer(number, error)
                return

    def _report(self, done: Outcome) -> None:
        accounts = done.accounts
        count(Metric.EVENTS_RECEIVED, accounts.received)
        count(Metric.EVENTS_DELIVERED, accounts.delivered)
        count(Metric.EVENTS_FILTERED, accounts.filtered.total())
        count(Metric.EVENTS_QUARANTINED, accounts.quarantined.total())
        count(Metric.EVENTS_DEFERRED, accounts.deferred)
        by_event = {event: dict(+counts) for event, counts in done.by_event.items()}
        logger.info(
            "batch delivered", extra={**accounts.summary(), "by_event": by_event}
        )
        if done.error:
            if isinstance(done.error, CredentialsRejected):
                count(Metric.CREDENTIALS_REJECTED)
            if done.error.reason == "mass_rejection":
                count(Metric.MASS_REJECTIONS)
            logger.warning("batch waits", reason=done.error.reason, why=str(done.error))
        self._report_drift(done.drift)

    def _report_drift(self, names: Iterable[str]) -> None:
        """Names alone, never values."""
        new = sorted(set(map(plain_name, names)) - self.reported)[
            : DRIFT_NAMES - len(self.reported)
        ]
        if new:
            self.reported.update(new)
            logger.warning("unknown to the catalog, sent as they are", names=new)


importer = cache(Importer)


def _record(kinesis: dict[str, Any], shard: str) -> StreamRecord:
    """Data that is no base64 is kept as it came, and put aside when it is decoded."""
    try:
        data = pybase64.b64decode(kinesis["data"], validate=True)
    except (binascii.Error, ValueError):
        data = str(kinesis["data"]).encode()
    arrived = first_arrival(
        kinesis.get("partitionKey", ""), float(kinesis["approximateArrivalTimestamp"])
    )
    return StreamRecord(f"{shard}:{kinesis['sequenceNumber']}", arrived, data)


@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Deliver one batch; the first record that is not settled comes again."""

    def time_left() -> float:
        return context.get_remaining_time_in_millis() / 1000

    records = event["Records"]
    first: int | None
    try:
        # A batch is of one shard.
        shard = records[0].get("eventID", "").partition(":")[0] if records else ""
        read = [_record(each["kinesis"], shard) for each in records]
        first = importer().run(read, time_left)
    except BridgeError as error:
        logger.error("batch waits", reason=error.reason, why=str(error))
        first = 0
        count(Metric.EVENTS_DEFERRED)
    except Exception as error:
        log_fault("batch waits", error)
        first = 0
    if first is None:
        return {"batchItemFailures": []}
    failed = records[first]["kinesis"]["sequenceNumber"]
    return {"batchItemFailures": [{"itemIdentifier": failed}]}
