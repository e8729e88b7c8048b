"""Takes accepted pages from the queue and brings Braze's cohorts up to date.

A failed message comes again after a growing pause. In a FIFO group the messages behind
it have to wait as long, so they get the same pause and not the queue's long one.
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
from bridge.cohorts.adapters.dynamodb_ledger import DynamoLedger
from bridge.cohorts.adapters.s3_pages import S3PageStore
from bridge.cohorts.adapters.sqs_queue import SqsQueue
from bridge.cohorts.apply.dispatch import consume
from bridge.cohorts.apply.push import Policy, Pushed, Pusher
from bridge.cohorts.messages import Message, read, write
from bridge.cohorts.ports import Route
from bridge.cohorts.routes.attribute import AttributeRoute
from bridge.cohorts.routes.devices import Devices
from bridge.cohorts.routes.partner import PartnerRoute
from bridge.credentials import BrazeCredentials, Secret
from bridge.errors import (
    BridgeError,
    CredentialsRejected,
    PermanentError,
    RetryableError,
)
from bridge.observability import Metric, count, log_fault, logger, observed
from bridge.quarantine import Quarantine, QuarantinedItem
from bridge.settings import CohortConsumerSettings, CohortRoute
from bridge.transport import Transport

FIRST_PAUSE = 2
MAX_PAUSE = 900
"""Seconds before a failed message is tried again; doubled at each receipt."""


class Consumer:
    """What the function holds between invocations."""

    def __init__(self) -> None:
        settings = CohortConsumerSettings.load()
        s3 = clients.create("s3")
        self.queue_url = settings.cohort_queue_url
        self.sqs = clients.create("sqs")
        self.settings = settings
        self.secret = Secret(settings.braze_secret_arn, BrazeCredentials)
        self.transport = Transport("braze", settings.braze_rest_endpoint)
        self.devices = Devices()
        self.table = Table(clients.create("dynamodb"), settings.ledger_table)
        self.pages = S3PageStore(s3, settings.data_bucket)
        self.queue = SqsQueue(self.sqs, settings.cohort_queue_url)
        self.quarantine = Quarantine(s3, settings.data_bucket, "cohorts")
        self.policy = Policy(
            max_removal_fraction=settings.max_removal_fraction,
            reassert_days=settings.reassert_days,
            write_gap_seconds=settings.write_gap_seconds,
        )
        self.processor = SqsFifoPartialProcessor(skip_group_on_error=True)
        # A batch that fails as a whole is an answer too, not a crash.
        self.processor.raise_on_entire_batch_failure = False

    def pusher(self, record: SQSRecord, time_left: Callable[[], float]) -> Pusher:
        """The work of one message."""
        now = _sent_at(record).timestamp()

        def quarantine(message: Message, reason: str) -> None:
            name = f"{record.message_id}-{message.deduplication_id[:16]}"
            self._keep(record, name, write(message), reason, "a member alone does it")

        return Pusher(
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
        settings, to = self.settings, (self.transport, self.secret, time_left)
        if settings.cohort_route is CohortRoute.PARTNER:
            return PartnerRoute(
                PartnerClient(*to, settings.braze_partner),
                datetime.fromtimestamp(now, UTC),
                settings.braze_workspace,
            )
        return AttributeRoute(
            BrazeClient(*to),
            self.devices,
            attribute=settings.cohort_attribute,
            form=settings.cohort_form,
            value=settings.cohort_value,
            workspace=settings.braze_workspace,
        )

    def keep(self, record: SQSRecord, error: PermanentError) -> None:
        """Put aside a message that can never succeed; its sync stays open."""
        self._keep(record, record.message_id, record.body, error.reason, str(error))

    def _keep(
        self, record: SQSRecord, name: str, text: str, reason: str, why: str
    ) -> None:
        item = QuarantinedItem(
            original=text.encode(),
            reason=reason,
            message=why,
            position=record.message_id,
        )
        key = self.quarantine.put(name, _sent_at(record), [item])
        count(Metric.PAGES_QUARANTINED)
        logger.error("page quarantined", reason=reason, kept=key)

    def pause(self, failed: list[SQSRecord], pauses: dict[str, int]) -> None:
        """Set when failed messages come again, by FIFO group."""
        for record in failed:
            group = record.attributes.message_group_id or ""
            try:
                self.sqs.change_message_visibility(
                    QueueUrl=self.queue_url,
                    ReceiptHandle=record.receipt_handle,
                    VisibilityTimeout=pauses.get(group, FIRST_PAUSE),
                )
            except Exception as error:
                log_fault("pause not set", error)


consumer = cache(Consumer)


def _sent_at(record: SQSRecord) -> datetime:
    return datetime.fromtimestamp(int(record.attributes.sent_timestamp) / 1000, UTC)


def _pause(record: SQSRecord, error: BaseException) -> int:
    """Seconds: the vendor's wish, or a pause that doubles with each receipt."""
    if isinstance(error, RetryableError) and error.retry_after is not None:
        return max(1, min(int(error.retry_after) + 1, MAX_PAUSE))
    received = int(record.attributes.approximate_receive_count)
    return int(min(FIRST_PAUSE * 2 ** min(received - 1, 10), MAX_PAUSE))


def _report(done: Pushed) -> None:
    count(Metric.MESSAGES_PROCESSED)
    count(Metric.MEMBERS_PUSHED, done.pushed)
    count(Metric.MEMBERS_REJECTED, done.rejected.total())
    count(Metric.MEMBERS_SKIPPED, done.skipped.total())
    count(Metric.REMOVALS_HELD, done.held_removals)
    if done.held_removals:
        logger.error("sweep held: it would remove too many members at once")
    logger.info(
        "page processed",
        pushed=done.pushed,
        rejected=dict(done.rejected),
        skipped=dict(done.skipped),
    )


@observed
def handler(
    event: dict[str, Any], context: LambdaContext
) -> PartialItemFailureResponse:
    """Work through one batch; what failed is returned and comes again."""
    held = consumer()
    pauses: dict[str, int] = {}

    def time_left() -> float:
        return context.get_remaining_time_in_millis() / 1000

    def handle(record: SQSRecord) -> None:
        try:
            pusher = held.pusher(record, time_left)
            received = int(record.attributes.approximate_receive_count)
            _report(consume(pusher, read(record.body), received))
        except PermanentError as error:
            held.keep(record, error)
        except Exception as error:
            group = record.attributes.message_group_id or ""
            pauses[group] = _pause(record, error)
            count(Metric.MESSAGES_DEFERRED)
            if isinstance(error, BridgeError):
                if isinstance(error, CredentialsRejected):
                    count(Metric.CREDENTIALS_REJECTED)
                logger.warning("page waits", reason=error.reason, why=str(error))
            else:
                log_fault("page waits", error)
            # A foreign exception may quote members; it goes no further than here.
            raise RetryableError("page_waits") from None

    answer = process_partial_response(event, handle, held.processor, context)
    failures = {item["itemIdentifier"] for item in answer["batchItemFailures"]}
    records = [SQSRecord(record) for record in event["Records"]]
    held.pause([r for r in records if r.message_id in failures], pauses)
    return answer
