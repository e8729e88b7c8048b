"""Turns stream records into Mixpanel imports and hands back what has to wait.

The answer names the first record that is not settled: Kinesis takes the lowest failed
position as its checkpoint, so naming more would say nothing more.
"""

import base64
import binascii
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from bridge import aws
from bridge.credentials import MixpanelCredentials, Secret
from bridge.currents.deliver import Delivered, Delivery, StreamRecord
from bridge.currents.pack import compress
from bridge.currents.rules_file import CachedMapper, RulesFile
from bridge.errors import BridgeError, CredentialsRefused, RetryableError
from bridge.mixpanel.client import POLICY, MixpanelClient
from bridge.observability import Metric, count, log_fault, logger, metrics
from bridge.quarantine import Quarantine
from bridge.settings import CurrentsImporterSettings
from bridge.transport import Transport


class Importer:
    """What the function holds between invocations."""

    def __init__(self) -> None:
        settings = CurrentsImporterSettings.load()
        self.secret = Secret(settings.mixpanel_secret_arn, MixpanelCredentials)
        self.transport = Transport("mixpanel", settings.ingestion_url, policy=POLICY)
        s3 = aws.client("s3")
        self.quarantine = Quarantine(s3, settings.data_bucket, "currents")
        rules = RulesFile(s3, settings.data_bucket, settings.rules_key)
        self.mapper = CachedMapper(settings.anonymous_users, rules, self.secret)
        self.reported: set[str] = set()

    def run(
        self, records: list[StreamRecord], time_left: Callable[[], float]
    ) -> int | None:
        """Deliver and put aside; the number of the first record to come again."""
        client = MixpanelClient(self.transport, self.secret, compress, time_left)
        done = Delivery(client, self.mapper.get(), time_left).run(records)
        for number, items in done.quarantine.items():
            record = records[number]
            arrived = datetime.fromtimestamp(record.arrived, UTC)
            self.quarantine.put(record.position.replace(":", "-"), arrived, items)
        self._report(done)
        if not done.accounts.closed:
            count(Metric.ACCOUNTS_UNBALANCED)
            raise RetryableError("accounts", "what came in and went out differ")
        return done.retry_from

    def _report(self, done: Delivered) -> None:
        accounts = done.accounts
        count(Metric.EVENTS_RECEIVED, accounts.received)
        count(Metric.EVENTS_DELIVERED, accounts.delivered)
        count(Metric.EVENTS_FILTERED, accounts.filtered.total())
        count(Metric.EVENTS_QUARANTINED, accounts.quarantined.total())
        count(Metric.EVENTS_RETRIED, accounts.retried)
        by_event = {event: dict(counts) for event, counts in done.by_event.items()}
        logger.info(
            "batch delivered", extra={**accounts.summary(), "by_event": by_event}
        )
        if done.error:
            if isinstance(done.error, CredentialsRefused):
                count(Metric.CREDENTIALS_REFUSED)
            logger.warning("batch waits", reason=done.error.reason, why=str(done.error))
        drift = sorted(set(done.drift) - self.reported)
        if drift:
            self.reported.update(drift)
            logger.warning("unknown to the catalog, sent as they are", names=drift)


importer = cache(Importer)


def _record(record: dict[str, Any]) -> StreamRecord:
    """Data that is no base64 is kept as it came, and put aside when it is decoded."""
    kinesis = record["kinesis"]
    try:
        data = base64.b64decode(kinesis["data"], validate=True)
    except (binascii.Error, ValueError):
        data = str(kinesis["data"]).encode()
    shard = record.get("eventID", "").partition(":")[0]
    return StreamRecord(
        f"{shard}:{kinesis['sequenceNumber']}",
        float(kinesis["approximateArrivalTimestamp"]),
        data,
    )


@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Deliver one batch; the first record that is not settled comes again."""

    def time_left() -> float:
        return context.get_remaining_time_in_millis() / 1000

    records = event["Records"]
    first: int | None
    try:
        first = importer().run([_record(record) for record in records], time_left)
    except BridgeError as error:
        logger.error("batch waits", reason=error.reason, why=str(error))
        first = 0
        count(Metric.EVENTS_RETRIED)
    except Exception as error:
        log_fault("batch waits", error)
        first = 0
    if first is None:
        return {"batchItemFailures": []}
    failed = records[first]["kinesis"]["sequenceNumber"]
    return {"batchItemFailures": [{"itemIdentifier": failed}]}
