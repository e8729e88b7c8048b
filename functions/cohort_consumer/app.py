"""Takes messages of the queue and brings Braze's cohorts up to date.

A message that failed is delivered again after a growing pause: see `cohorts.retry`.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.batch import (
    SqsFifoPartialProcessor,
    process_partial_response,
)
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from bridge.aws import clients
from bridge.aws.dynamodb import Table
from bridge.braze.client import BrazeClient, PartnerClient
from bridge.braze.partner_cohorts.server import IDS_PER_CALL
from bridge.braze.users_track import OBJECTS_PER_CALL
from bridge.cohorts.adapters.dynamodb_ledger import DynamoLedger
from bridge.cohorts.adapters.s3_pages import S3PageStore
from bridge.cohorts.adapters.sqs_queue import SqsQueue
from bridge.cohorts.apply.context import Applied, Context, Policy
from bridge.cohorts.apply.dispatch import consume
from bridge.cohorts.messages import Message, read, write
from bridge.cohorts.ports import Route
from bridge.cohorts.retry import GroupPauses, Receipt, log_deferred
from bridge.cohorts.routes.attribute import AttributeRoute
from bridge.cohorts.routes.devices import Devices
from bridge.cohorts.routes.halving import CallSize
from bridge.cohorts.routes.partner import PartnerRoute
from bridge.credentials import BrazeCredentials, Secret
from bridge.errors import PermanentError, RetryableError
from bridge.observability import Metric, count, logger, observed
from bridge.quarantine import Quarantine, QuarantinedItem
from bridge.reasons import Reason
from bridge.settings import CohortConsumerSettings, CohortRoute
from bridge.transport import Transport


class Consumer:
    """What the function holds between invocations."""

    def __init__(self) -> None:
        settings = CohortConsumerSettings.load()
        s3 = clients.create("s3")
        self.sqs = clients.create("sqs")
        self.settings = settings
        self.secret = Secret(settings.braze_secret_arn, BrazeCredentials)
        self.transport = Transport("braze", settings.braze_rest_endpoint)
        self.devices = Devices()
        self.track_size = CallSize(OBJECTS_PER_CALL)
        self.import_size = CallSize(IDS_PER_CALL)
        self.table = Table(clients.create("dynamodb"), settings.ledger_table)
        self.pages = S3PageStore(s3, settings.data_bucket)
        self.queue = SqsQueue(self.sqs, settings.cohort_queue_url)
        self.quarantine = Quarantine(s3, settings.data_bucket, "cohorts")
        self.policy = Policy(
            max_removal_fraction=settings.max_removal_fraction,
            guarded_members=settings.guarded_members,
            reassert_days=settings.reassert_days,
            write_gap_seconds=settings.write_gap_seconds,
        )
        self.processor = SqsFifoPartialProcessor(skip_group_on_error=True)
        # A batch that fails as a whole is an answer too, not a crash.
        self.processor.raise_on_entire_batch_failure = False

    def context(self, record: SQSRecord, time_left: Callable[[], float]) -> Context:
        """What the message of a record is carried out with."""
        now = _sent_at(record).timestamp()

        def quarantine(message: Message, reason: str) -> None:
            name = f"{record.message_id}-{message.deduplication_id[:16]}"
            error = PermanentError(reason, "this member alone crashes the process")
            self.keep(record, name, write(message), error)

        return Context(
            ledger=DynamoLedger(self.table, now),
            pages=self.pages,
            queue=self.queue,
            route=self.route(now, time_left),
            time_left=time_left,
            quarantine=quarantine,
            policy=self.policy,
        )

    def route(self, now: float, time_left: Callable[[], float]) -> Route:
        """The way to Braze that the settings choose."""
        settings, braze = self.settings, (self.transport, self.secret, time_left)
        if settings.cohort_route is CohortRoute.PARTNER:
            return PartnerRoute(
                PartnerClient(*braze, settings.braze_partner),
                datetime.fromtimestamp(now, UTC),
                settings.braze_workspace,
                self.import_size,
            )
        return AttributeRoute(
            BrazeClient(*braze),
            self.devices,
            attribute=settings.cohort_attribute,
            form=settings.cohort_form,
            value=settings.cohort_value,
            workspace=settings.braze_workspace,
            since=now,
            size=self.track_size,
        )

    def keep(
        self, record: SQSRecord, name: str, text: str, error: PermanentError
    ) -> None:
        """Quarantine a message that can never be carried out; its sync stays open."""
        item = QuarantinedItem(
            original=text.encode(),
            reason=error.reason,
            message=str(error),
            position=record.message_id,
        )
        key = self.quarantine.put(name, _sent_at(record), [item])
        count(Metric.PAGES_QUARANTINED)
        logger.error("page quarantined", reason=error.reason, kept=key)


consumer = cache(Consumer)


@observed
def handler(
    event: dict[str, Any], context: LambdaContext
) -> PartialItemFailureResponse:
    """Carry out one batch; failed messages are returned and delivered again."""
    app = consumer()
    pauses = GroupPauses(app.sqs, app.settings.cohort_queue_url)

    def time_left() -> float:
        return context.get_remaining_time_in_millis() / 1000

    def handle(record: SQSRecord) -> None:
        receipt = _receipt(record)
        try:
            message = read(record.body)
            _report(consume(app.context(record, time_left), message, receipt.received))
        except PermanentError as error:
            app.keep(record, record.message_id, record.body, error)
        except Exception as error:
            pauses.defer(receipt, error)
            count(Metric.MESSAGES_DEFERRED)
            log_deferred("message deferred", error)
            # A foreign exception may quote members; it goes no further than here.
            raise RetryableError(Reason.MESSAGE_DEFERRED) from None

    answer = process_partial_response(event, handle, app.processor, context)
    failed = {item["itemIdentifier"] for item in answer["batchItemFailures"]}
    records = (SQSRecord(record) for record in event["Records"])
    pauses.apply(_receipt(r) for r in records if r.message_id in failed)
    return answer


def _receipt(record: SQSRecord) -> Receipt:
    attributes = record.attributes
    return Receipt(
        attributes.message_group_id or "",
        record.receipt_handle,
        int(attributes.approximate_receive_count),
    )


def _sent_at(record: SQSRecord) -> datetime:
    return datetime.fromtimestamp(int(record.attributes.sent_timestamp) / 1000, UTC)


def _report(applied: Applied) -> None:
    count(Metric.MESSAGES_PROCESSED)
    count(Metric.MEMBERS_PUSHED, applied.pushed)
    count(Metric.MEMBERS_REJECTED, applied.rejected.total())
    count(Metric.MEMBERS_SKIPPED, applied.skipped.total())
    count(Metric.REMOVALS_HELD, applied.held_removals)
    count(Metric.IDENTIFIERS_LOST, applied.lost)
    count(Metric.IDENTIFIERS_KEPT, applied.kept)
    if applied.held_removals:
        logger.error("removal held: it would take out too many members at once")
    if applied.lost:
        logger.error("most profiles have lost their identifiers", lost=applied.lost)
    logger.info(
        "message processed",
        pushed=applied.pushed,
        rejected=dict(applied.rejected),
        skipped=dict(applied.skipped),
        kept=applied.kept,
    )
