"""Runs every ten minutes over all cohorts; see bridge.cohorts.maintenance.

It raises when it breaks off, so that Lambda and the alarm on errors see it.
"""

import time
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from bridge.aws import clients
from bridge.aws.dynamodb import Table
from bridge.cohorts.adapters.dynamodb_ledger import DynamoLedger
from bridge.cohorts.adapters.sqs_queue import SqsQueue
from bridge.cohorts.maintenance import sweep
from bridge.errors import BridgeError, RetryableError
from bridge.observability import Metric, count, log_fault, logger, metrics
from bridge.settings import CohortSweeperSettings


@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """One run; there is too little of it to keep anything between runs."""
    count(Metric.SWEEPER_RUNS)
    try:
        settings = CohortSweeperSettings.load()
        now = time.time()
        swept = sweep(
            DynamoLedger(Table(clients.create("dynamodb"), settings.ledger_table), now),
            SqsQueue(clients.create("sqs"), settings.cohort_queue_url),
            int(now * 1000),
            settings.reassert_days,
        )
    except BridgeError as error:
        logger.error("sweep broke off", reason=error.reason, why=str(error))
        raise RetryableError(error.reason, "the next run makes it good") from None
    except Exception as error:
        log_fault("sweep broke off", error)
        raise RetryableError("fault", "the next run makes it good") from None
    count(Metric.PAGES_SENT_AGAIN, swept.sent_again)
    count(Metric.COHORTS_SILENT, swept.silent)
    logger.info(
        "swept",
        sent_again=swept.sent_again,
        reasserted=swept.reasserted,
        silent=swept.silent,
    )
