"""Logger, metrics, and the names of the metrics, which the template's alarms share.

Every secret that was ever read is registered here and struck from each log line just
before it is written: Braze echoes keys in its refusals, and a traceback of a foreign
library may hold anything.
"""

import json
import re
import traceback
from enum import StrEnum
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from bridge.errors import BridgeError, CredentialsRejected

METRICS_NAMESPACE = "MixpanelBrazeBridge"
_secrets: set[str] = set()
_PLAIN_NAME = re.compile(r"[A-Za-z_$][\w.$ -]{0,63}", re.ASCII)


class Metric(StrEnum):
    """Everything the bridge counts; alarms in the template name these."""

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
    COHORTS_SILENT = "CohortsSilent"
    # Currents
    CALLS_RECEIVED = "CallsReceived"
    CALLS_DEFERRED = "CallsDeferred"
    FILES_LOADED = "FilesLoaded"
    FILES_GONE = "FilesGone"
    FILES_DEFERRED = "FilesDeferred"
    EVENTS_RECEIVED = "EventsReceived"
    EVENTS_DELIVERED = "EventsDelivered"
    EVENTS_FILTERED = "EventsFiltered"
    EVENTS_QUARANTINED = "EventsQuarantined"
    EVENTS_DEFERRED = "EventsDeferred"
    MASS_REJECTIONS = "MassRejections"
    # Both; each of these wakes somebody
    UNAUTHORIZED = "Unauthorized"
    CREDENTIALS_REJECTED = "CredentialsRejected"
    RULES_UNUSABLE = "RulesUnusable"
    ACCOUNTS_UNBALANCED = "AccountsUnbalanced"
    STORE_UNAVAILABLE = "StoreUnavailable"
    FAULTS = "Faults"


MIN_SECRET_LENGTH = 6
"""Shorter values are no keys, and striking them would make logs unreadable."""


def register_secret(value: str) -> None:
    """Strike this value from all that is logged from now on."""
    if len(value) >= MIN_SECRET_LENGTH:
        # As JSON writes it, for that is the form in which it would show.
        _secrets.add(json.dumps(value)[1:-1])


def redact(text: str) -> str:
    """Replace every registered secret; longest first, as one may hold another."""
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, "[secret]")
    return text


def _serialize(record: dict[str, Any]) -> str:
    return redact(json.dumps(record, default=str))


logger = Logger(json_serializer=_serialize)
metrics = Metrics(namespace=METRICS_NAMESPACE)


def count(metric: Metric, value: int = 1) -> None:
    """Add to a counter; zero is not written, so that silence stays cheap."""
    if value:
        metrics.add_metric(name=metric.value, unit=MetricUnit.Count, value=value)


def plain_name(name: str) -> str:
    """A name that came from outside, if it is one: any other text might be a value."""
    return name if _PLAIN_NAME.fullmatch(name) else "(no plain name)"


def log_fault(what: str, error: BaseException) -> None:
    """Log a fault of ours: its type and where it arose, but not its message.

    The message of a foreign exception may quote what was being worked on.
    """
    count(Metric.FAULTS)
    frames = traceback.extract_tb(error.__traceback__)
    logger.error(
        what,
        error=type(error).__name__,
        at=[f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    )


def log_deferred(what: str, error: BaseException) -> None:
    """Log why something is left to its next delivery; a fault as `log_fault` does."""
    if not isinstance(error, BridgeError):
        log_fault(what, error)
        return
    if isinstance(error, CredentialsRejected):
        count(Metric.CREDENTIALS_REJECTED)
    logger.warning(what, reason=error.reason, why=str(error))
