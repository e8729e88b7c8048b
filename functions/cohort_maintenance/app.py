"""Runs every ten minutes over all cohorts; see bridge.cohorts.maintenance.

It raises when a run is incomplete, so that Lambda's error metric and its alarm show it.
"""

import time
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from bridge.aws import clients
from bridge.aws.dynamodb import Table
from bridge.cohorts.adapters.dynamodb_ledger import DynamoLedger
from bridge.cohorts.adapters.sqs_queue import SqsQueue
from bridge.cohorts.maintenance import MaintenanceRun, run_maintenance
from bridge.errors import BridgeError, RetryableError
from bridge.observability import Metric, count, log_fault, logger, measure, observed
from bridge.reasons import Reason
from bridge.settings import CohortMaintenanceSettings

_LATER = "the next run catches up"


def _run() -> MaintenanceRun:
    """One run. It is too rare for clients to be worth holding between runs."""
    settings = CohortMaintenanceSettings.load()
    now = time.time()
    return run_maintenance(
        DynamoLedger(Table(clients.create("dynamodb"), settings.ledger_table), now),
        SqsQueue(clients.create("sqs"), settings.cohort_queue_url),
        int(now * 1000),
        settings.reassert_days,
        settings.forget_silent_days,
    )


@observed
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Maintain all cohorts; raises `RetryableError` when the run is incomplete."""
    count(Metric.MAINTENANCE_RUNS)
    try:
        run = _run()
    except BridgeError as error:
        logger.error("maintenance incomplete", reason=error.reason, why=str(error))
        raise RetryableError(error.reason, _LATER) from None
    except Exception as error:
        log_fault("maintenance incomplete", error)
        raise RetryableError(Reason.FAULT, _LATER) from None
    count(Metric.PAGES_RESENT, run.resent)
    measure(Metric.OLDEST_PAGE_SECONDS, run.oldest_wait // 1000)
    count(Metric.COHORTS_SILENT, run.silent)
    count(Metric.COHORTS_WITH_TWO_SENDERS, run.two_senders)
    count(Metric.SYNCS_WAITING, run.waiting)
    logger.info(
        "maintenance complete",
        resent=run.resent,
        reasserted=run.reasserted,
        silent=run.silent,
        two_senders=run.two_senders,
        waiting=run.waiting,
        oldest_page_seconds=run.oldest_wait // 1000,
    )
