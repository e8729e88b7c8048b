"""Logger, metrics, and the names of the metrics, which the template's alarms share.

Every secret that a process has read is registered here and struck from each log line
just before it is written: Braze echoes keys in its error messages, and the text of a
foreign exception may hold anything.
"""

import json
import re
import traceback
from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

METRICS_NAMESPACE = "MixpanelBrazeBridge"
_secrets: set[str] = set()
_PLAIN_NAME = re.compile(r"[A-Za-z_$][\w.$ -]{0,63}", re.ASCII)


class Metric(StrEnum):
    """Everything the bridge counts or measures; alarms in the template name these."""

    # Cohorts
    IMPORT_CALLS = "ImportCalls"
    PAGES_ACCEPTED = "PagesAccepted"
    PAGES_REFUSED = "PagesRefused"
    PAGES_DEFERRED = "PagesDeferred"
    MESSAGES_PROCESSED = "MessagesProcessed"
    MESSAGES_DEFERRED = "MessagesDeferred"
    PAGES_QUARANTINED = "PagesQuarantined"
    MEMBERS_RECEIVED = "MembersReceived"
    MEMBERS_SKIPPED = "MembersSkipped"
    MEMBERS_PUSHED = "MembersPushed"
    MEMBERS_REJECTED = "MembersRejected"
    PAGES_RESENT = "PagesResent"
    MAINTENANCE_RUNS = "MaintenanceRuns"
    REMOVALS_HELD = "RemovalsHeld"
    LISTS_MISLABELLED = "ListsMislabelled"
    SYNCS_WAITING = "SyncsWaiting"
    IDENTIFIERS_LOST = "IdentifiersLost"
    IDENTIFIERS_KEPT = "IdentifiersKept"
    OLDEST_PAGE_SECONDS = "OldestPageSeconds"
    COHORTS_SILENT = "CohortsSilent"
    COHORTS_WITH_TWO_SENDERS = "CohortsWithTwoSenders"
    # Currents
    CALLS_RECEIVED = "CallsReceived"
    CALLS_DEFERRED = "CallsDeferred"
    FILES_LOADED = "FilesLoaded"
    FILES_GONE = "FilesGone"
    FILES_IGNORED = "FilesIgnored"
    BLOCKS_DAMAGED = "BlocksDamaged"
    FILES_DEFERRED = "FilesDeferred"
    EVENTS_RECEIVED = "EventsReceived"
    EVENTS_DELIVERED = "EventsDelivered"
    EVENTS_FILTERED = "EventsFiltered"
    EVENTS_QUARANTINED = "EventsQuarantined"
    EVENTS_DEFERRED = "EventsDeferred"
    EVENTS_RESHAPED = "EventsReshaped"
    MASS_REJECTIONS = "MassRejections"
    # Both
    STRANGERS = "Strangers"
    """Callers without credentials, or with none that we know."""
    CALLERS_UNVERIFIED = "CallersUnverified"
    # Both; each of these raises an alarm
    UNAUTHORIZED = "Unauthorized"
    """Callers whom we know by something, but whose credentials are wrong."""
    CREDENTIALS_REJECTED = "CredentialsRejected"
    RULES_UNUSABLE = "RulesUnusable"
    ACCOUNTS_UNBALANCED = "AccountsUnbalanced"
    STORE_UNAVAILABLE = "StoreUnavailable"
    FAULTS = "Faults"


MIN_SECRET_LENGTH = 6
"""Characters. Shorter values are not keys, and striking them would garble the logs."""


def register_secret(value: str) -> None:
    """Strike this value from every log line from now on."""
    if len(value) >= MIN_SECRET_LENGTH:
        # Escaped as JSON, the form in which a log line would hold it.
        _secrets.add(json.dumps(value)[1:-1])


def redact(text: str) -> str:
    """Replace every registered secret, the longest first: one may contain another."""
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, "[secret]")
    return text


def _serialize(record: dict[str, Any]) -> str:
    return redact(json.dumps(record, default=str))


logger = Logger(json_serializer=_serialize)
metrics = Metrics(namespace=METRICS_NAMESPACE)


def count(metric: Metric, value: int = 1) -> None:
    """Add to a counter; zero adds nothing, so that an idle metric costs nothing."""
    if value:
        metrics.add_metric(name=metric.value, unit=MetricUnit.Count, value=value)


def measure(metric: Metric, seconds: int) -> None:
    """Report a length of time; zero reports nothing, as in `count`."""
    if seconds:
        metrics.add_metric(name=metric.value, unit=MetricUnit.Seconds, value=seconds)


type _Handler = Callable[[dict[str, Any], LambdaContext], Any]


def observed(handler: _Handler) -> Callable[[dict[str, Any], Any], Any]:
    """Put the request id into the handler's log lines; write its metrics when it ends.

    Powertools' `inject_lambda_context` would add the id too, but it logs the whole
    event, members included, if an environment variable asks for that.
    """

    @wraps(handler)
    def identified(event: dict[str, Any], context: LambdaContext) -> Any:
        logger.append_keys(function_request_id=context.aws_request_id)
        return handler(event, context)

    return metrics.log_metrics(identified)


def plain_name(name: str) -> str:
    """The name, if it looks like one: any other text from outside might be a value."""
    return name if _PLAIN_NAME.fullmatch(name) else "(no plain name)"


def log_fault(what: str, error: BaseException) -> None:
    """Log a fault of ours: its type and its stack, but not its message.

    The message of a foreign exception may quote the data that it choked on.
    """
    count(Metric.FAULTS)
    frames = traceback.extract_tb(error.__traceback__)
    logger.error(
        what,
        error=type(error).__name__,
        at=[f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    )
