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
from bridge.cohorts.maintenance import run_maintenance
from bridge.errors import BridgeError, RetryableError
from bridge.observability import Metric, count, log_fault, logger, metrics
from bridge.settings import CohortMaintenanceSettings


@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """One run; there is too little of it to keep anything between runs."""
    count(Metric.MAINTENANCE_RUNS)
    try:
        settings = CohortMaintenanceSettings.load()
        now = time.time()
        run = run_maintenance(
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
    count(Metric.PAGES_RESENT, run.resent)
    count(Metric.COHORTS_SILENT, run.silent)
    logger.info(
        "swept",
        resent=run.resent,
        reasserted=run.reasserted,
        silent=run.silent,
    )
