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
from botocore.config import Config

from bridge.aws import clients
from bridge.aws.dynamodb import Table
from bridge.cohorts.adapters.dynamodb_brake import SharedBrake
from bridge.cohorts.adapters.dynamodb_ledger import DynamoLedger
from bridge.cohorts.adapters.s3_pages import S3PageStore
from bridge.cohorts.adapters.s3_reports import S3Reports
from bridge.cohorts.adapters.sqs_queue import SqsQueue
from bridge.cohorts.apply.batch import PAGES_AT_A_TIME, Batch, Job
from bridge.cohorts.apply.context import Context, Policy
from bridge.cohorts.apply.report import quarantine_message, report
from bridge.cohorts.cohort_messages import Message, read
from bridge.cohorts.messages import write
from bridge.cohorts.retry import GroupPauses, Receipt, log_deferred
from bridge.cohorts.routes.choice import RouteChoice
from bridge.errors import PermanentError, RetryableError
from bridge.observability import Metric, count, observed
from bridge.parallel import threads
from bridge.quarantine import Quarantine
from bridge.reasons import Reason
from bridge.settings import CohortConsumerSettings


class Consumer:
    """What the function holds between invocations."""

    def __init__(self) -> None:
        settings = CohortConsumerSettings.load()
        s3 = clients.create("s3")
        self.sqs = clients.create("sqs")
        self.queue_url = settings.cohort_queue_url
        # What the ledger asks is made by its own code: to check the arguments of each
        # call takes a quarter of a page's CPU.
        # Half of them wait for Braze, the others for the ledger.
        self.threads = 2 * settings.calls_at_a_time
        config = Config(
            max_pool_connections=self.threads + PAGES_AT_A_TIME,
            parameter_validation=False,
        )
        dynamodb = clients.create("dynamodb", clients.CONFIG.merge(config))
        self.table = Table(dynamodb, settings.ledger_table)
        self.braze = RouteChoice(settings, SharedBrake(self.table))
        self.pages = S3PageStore(s3, settings.data_bucket)
        self.reports = S3Reports(s3, settings.data_bucket)
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
        sent_at = _sent_at(record)

        def quarantine(message: Message, reason: str) -> None:
            name = f"{record.message_id}-{message.deduplication_id[:16]}"
            error = PermanentError(reason, "this member alone crashes the process")
            text, position = write(message), record.message_id
            quarantine_message(self.quarantine, name, sent_at, text, position, error)

        return Context(
            ledger=DynamoLedger(self.table, sent_at.timestamp()),
            pages=self.pages,
            queue=self.queue,
            route=self.braze.route(sent_at.timestamp(), time_left),
            reports=self.reports,
            time_left=time_left,
            quarantine=quarantine,
            policy=self.policy,
        )


consumer = cache(Consumer)


@observed
def handler(
    event: dict[str, Any], context: LambdaContext
) -> PartialItemFailureResponse:
    """Carry out one batch; failed messages are returned and delivered again."""
    app = consumer()
    pauses = GroupPauses(app.sqs, app.queue_url)
    records = [SQSRecord(record) for record in event["Records"]]
    positions = {record.message_id: at for at, record in enumerate(records)}

    def time_left() -> float:
        return context.get_remaining_time_in_millis() / 1000

    def job(record: SQSRecord) -> Job | None:
        try:
            message = read(record.body)
        except PermanentError:
            return None  # raised again when its turn comes
        return Job(message, _receipt(record).received, app.context(record, time_left))

    def handle(record: SQSRecord) -> None:
        name = record.message_id
        try:
            read(record.body)
            report(batch.carry_out(positions[name]))
        except PermanentError as error:
            sent_at, text = _sent_at(record), record.body
            quarantine_message(app.quarantine, name, sent_at, text, name, error)
        except Exception as error:
            pauses.defer(_receipt(record), error)
            count(Metric.MESSAGES_DEFERRED)
            log_deferred("message deferred", error)
            # A foreign exception may quote members; it goes no further than here.
            raise RetryableError(Reason.MESSAGE_DEFERRED) from None

    with (
        threads(app.threads),
        Batch([job(record) for record in records]) as batch,
    ):
        answer = process_partial_response(event, handle, app.processor, context)
    failed = {item["itemIdentifier"] for item in answer["batchItemFailures"]}
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
