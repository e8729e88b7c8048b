"""Every alarm in one table: what it looks at, whose, and when it rings."""

import ast
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bridge.observability import METRICS_NAMESPACE, Metric
from tests.infrastructure.resources import FUNCTIONS, Template, meant, of_type

ROOT = Path(__file__).parents[2]
APPS, PACKAGES = ROOT / "functions", ROOT / "layers" / "application"


@dataclass(frozen=True)
class Alarm:
    """Rings above `above` in `rings` of `of` periods of `period` seconds."""

    metric: str
    whose: str
    statistic: str = "Sum"
    above: int = 0
    rings: int = 1
    of: int = 1
    period: int = 300


def filled(queue: str) -> Alarm:
    metric = "ApproximateNumberOfMessagesVisible"
    return Alarm(metric, queue, statistic="Maximum")


ALARMS = {
    "CohortDeadLetter": filled("CohortDeadLetterQueue"),
    "CohortPageAge": Alarm(
        "OldestPageSeconds",
        "cohort_maintenance",
        statistic="Maximum",
        above=1800,
        of=4,
    ),
    "CurrentsGivenUp": Alarm(
        "OnFailureDestinationDeliveredEventCount", "CurrentsImporterFunctionStream"
    ),
    "CurrentsDropped": Alarm("DroppedEventCount", "CurrentsImporterFunctionStream"),
    "CurrentsLoaderDeadLetter": filled("CurrentsLoaderDeadLetterQueue"),
    "CurrentsIteratorAge": Alarm(
        "IteratorAge", "CurrentsImporterFunction", statistic="Maximum", above=3_600_000
    ),
    **{f"{name}Errors": Alarm("Errors", f"{name}Function") for name in FUNCTIONS},
    **{
        f"{name}Throttles": Alarm("Throttles", f"{name}Function", rings=3, of=3)
        for name in FUNCTIONS
    },
    **{
        f"{name}Faults": Alarm("Faults", re.sub("(?<!^)(?=[A-Z])", "_", name).lower())
        for name in FUNCTIONS
    },
    **{
        f"{name}Store": Alarm(
            "StoreUnavailable",
            re.sub("(?<!^)(?=[A-Z])", "_", name).lower(),
            rings=2,
            of=12,
        )
        for name in FUNCTIONS
    },
    "CohortUnauthorized": Alarm("Unauthorized", "cohort_webhook"),
    "ApiTooLarge": Alarm("CallsTooLarge", "api"),
    "CohortRefused": Alarm("PagesRefused", "cohort_webhook"),
    "CohortDeferred": Alarm("PagesDeferred", "cohort_webhook", rings=2, of=12),
    "CohortQuarantine": Alarm("PagesQuarantined", "cohort_consumer"),
    "CohortRemovalHeld": Alarm("RemovalsHeld", "cohort_consumer"),
    "CohortListMislabelled": Alarm("ListsMislabelled", "cohort_consumer"),
    "CohortSyncWaits": Alarm("SyncsWaiting", "cohort_maintenance"),
    "CohortIdentifiersLost": Alarm("IdentifiersLost", "cohort_consumer"),
    "BrazeCredentials": Alarm("CredentialsRejected", "cohort_consumer", of=4),
    "CohortSilent": Alarm("CohortsSilent", "cohort_maintenance", of=4),
    "CohortTwoSenders": Alarm("CohortsWithTwoSenders", "cohort_maintenance", of=4),
    "CurrentsUnauthorized": Alarm("Unauthorized", "currents_receiver"),
    "CurrentsReceiverQuarantine": Alarm("EventsQuarantined", "currents_receiver"),
    "CurrentsDeferred": Alarm("CallsDeferred", "currents_receiver", rings=2, of=12),
    "CurrentsLoaderQuarantine": Alarm("EventsQuarantined", "currents_loader"),
    "MixpanelCredentials": Alarm("CredentialsRejected", "currents_importer"),
    "CurrentsQuarantine": Alarm("EventsQuarantined", "currents_importer"),
    "CurrentsMassRejection": Alarm("MassRejections", "currents_importer"),
    "CurrentsRules": Alarm("RulesUnusable", "currents_importer"),
    "CurrentsAccounts": Alarm("AccountsUnbalanced", "currents_importer"),
}


SILENT = {"BackfillPace"}
"""Rings nobody: a backfill looks at its state."""


def dimension_of(whose: str) -> str:
    """What the metric is kept by."""
    if namespace(whose) == METRICS_NAMESPACE:
        return "service"
    if whose.endswith("Queue"):
        return "QueueName"
    return "FunctionName" if whose.endswith("Function") else "EventSourceMappingUUID"


def namespace(whose: str) -> str:
    if whose.endswith("Queue"):
        return "AWS/SQS"
    lambdas = whose.endswith(("Function", "FunctionStream"))
    return "AWS/Lambda" if lambdas else METRICS_NAMESPACE


def owner(value: Any) -> str:
    """A queue, a function, or the service under which a function counts."""
    return meant(value).removeprefix("${AWS::StackName}/")


def test_every_alarm_stands_in_the_table(expanded: Template) -> None:
    made = of_type(expanded, "AWS::CloudWatch::Alarm")
    assert {name.removesuffix("Alarm") for name in made} == {*ALARMS, *SILENT}


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_looks_at_its_metric_and_rings_above_its_threshold(
    expanded: Template, name: str
) -> None:
    made = dict(of_type(expanded, "AWS::CloudWatch::Alarm")[f"{name}Alarm"])
    wanted = ALARMS[name]
    assert made.pop("AlarmDescription")
    (dimension,) = made.pop("Dimensions")
    assert dimension["Name"] == dimension_of(wanted.whose)
    assert owner(dimension["Value"]) == wanted.whose
    assert made.pop("DatapointsToAlarm", wanted.of) == wanted.rings
    condition, on, off = made.pop("AlarmActions")["Fn::If"]
    assert condition == "HasAlarmEmail"
    assert (on, off) == ([{"Ref": "AlarmTopic"}], {"Ref": "AWS::NoValue"})
    assert made == {
        "Namespace": namespace(wanted.whose),
        "MetricName": wanted.metric,
        "Statistic": wanted.statistic,
        "Period": wanted.period,
        "EvaluationPeriods": wanted.of,
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": wanted.above,
        "TreatMissingData": "notBreaching",
    }


def test_services_are_those_under_which_the_functions_count(expanded: Template) -> None:
    services = {
        owner(made["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"])
        for made in of_type(expanded, "AWS::Lambda::Function").values()
    }
    assert services == {app.parent.name for app in APPS.glob("*/app.py")}
    ours = {a.whose for a in ALARMS.values() if namespace(a.whose) == METRICS_NAMESPACE}
    assert ours == services | {"api"}


WAKING = {
    Metric.UNAUTHORIZED,
    Metric.PAGES_REFUSED,
    Metric.PAGES_DEFERRED,
    Metric.PAGES_QUARANTINED,
    Metric.REMOVALS_HELD,
    Metric.LISTS_MISLABELLED,
    Metric.SYNCS_WAITING,
    Metric.IDENTIFIERS_LOST,
    Metric.COHORTS_SILENT,
    Metric.COHORTS_WITH_TWO_SENDERS,
    Metric.CALLS_DEFERRED,
    Metric.EVENTS_QUARANTINED,
    Metric.MASS_REJECTIONS,
    Metric.CREDENTIALS_REJECTED,
    Metric.RULES_UNUSABLE,
    Metric.ACCOUNTS_UNBALANCED,
    Metric.OLDEST_PAGE_SECONDS,
    Metric.STORE_UNAVAILABLE,
    Metric.FAULTS,
}
"""Each wakes somebody wherever a function counts it."""

QUIET = {
    # How much there is to do.
    Metric.IMPORT_CALLS,
    Metric.PAGES_ACCEPTED,
    Metric.MESSAGES_PROCESSED,
    Metric.MEMBERS_RECEIVED,
    Metric.MEMBERS_SKIPPED,
    Metric.MEMBERS_PUSHED,
    Metric.MEMBERS_REJECTED,
    Metric.IDENTIFIERS_KEPT,
    Metric.PAGES_RESENT,
    Metric.MAINTENANCE_RUNS,
    Metric.CALLS_RECEIVED,
    Metric.FILES_LOADED,
    Metric.FILES_GONE,
    Metric.FILES_IGNORED,
    Metric.EVENTS_RECEIVED,
    Metric.EVENTS_DELIVERED,
    Metric.EVENTS_FILTERED,
    Metric.EVENTS_RESHAPED,
    # Anybody can call.
    Metric.STRANGERS,
    Metric.CALLERS_UNVERIFIED,
    # The file is quarantined, which rings.
    Metric.BLOCKS_DAMAGED,
    # These heal by themselves; where one does not, an alarm on deferrals, ages, errors
    # or dead letters tells.
    Metric.MESSAGES_DEFERRED,
    Metric.FILES_DEFERRED,
    Metric.EVENTS_DEFERRED,
}


def test_of_every_metric_it_is_decided_whether_it_wakes_somebody() -> None:
    assert set(Metric) == WAKING | QUIET
    assert not WAKING & QUIET


def imported(source: Path) -> set[Path]:
    """The modules of the package that a module names in its imports."""
    names = {
        name
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module
        for name in (
            node.module,
            *(f"{node.module}.{each.name}" for each in node.names),
        )
    }
    files = {PACKAGES / f"{name.replace('.', '/')}.py" for name in names}
    return {file for file in files if file.is_file()}


def counted(app: Path) -> set[Metric]:
    """What a function counts, itself or in any module that it reaches by imports."""
    found, unread = set[Path](), {app}
    while unread:
        found |= unread
        unread = set().union(*map(imported, unread)) - found
    text = "".join(source.read_text() for source in found)
    return {Metric[name] for name in re.findall(r"Metric\.([A-Z_]+)", text)}


def test_whatever_wakes_somebody_has_an_alarm_in_every_function_that_counts_it() -> (
    None
):
    ringing = {
        (alarm.metric, alarm.whose)
        for alarm in ALARMS.values()
        if namespace(alarm.whose) == METRICS_NAMESPACE and alarm.whose != "api"
    }
    waking = {
        (metric.value, app.parent.name)
        for app in APPS.glob("*/app.py")
        for metric in counted(app) & WAKING
    }
    assert ringing == waking


def test_what_the_gateway_answers_by_itself_is_counted_from_its_log(
    expanded: Template,
) -> None:
    """Only of our routes: a stranger who does not know their path counts nothing."""
    (api,) = of_type(expanded, "AWS::ApiGatewayV2::Stage").values()
    logged = json.loads(api["AccessLogSettings"]["Format"]["Fn::Sub"])
    assert logged["service"] == "${AWS::StackName}/api"
    assert (logged["status"], logged["route"]) == (
        "$context.status",
        "$context.routeKey",
    )
    counted = {}
    for made in of_type(expanded, "AWS::Logs::MetricFilter").values():
        assert made["LogGroupName"] == {"Ref": "ApiLogGroup"}
        (metric,) = made["MetricTransformations"]
        assert metric["MetricNamespace"] == METRICS_NAMESPACE
        assert metric["Dimensions"] == [{"Key": "service", "Value": "$.service"}]
        assert '($.route = "POST *")' in made["FilterPattern"]
        counted[metric["MetricName"]] = re.findall('"([0-9]+)"', made["FilterPattern"])
    assert counted == {"CallsTooLarge": ["413"], "CallsThrottled": ["429"]}


def test_the_records_that_are_given_up_are_counted(expanded: Template) -> None:
    made = expanded["Resources"]["CurrentsImporterFunctionStream"]
    assert made["Type"] == "AWS::Lambda::EventSourceMapping"
    assert made["Properties"]["MetricsConfig"] == {"Metrics": ["EventCount"]}


def test_every_dead_letter_queue_rings(expanded: Template) -> None:
    queues = {
        name for name in of_type(expanded, "AWS::SQS::Queue") if "DeadLetter" in name
    }
    assert queues == {
        alarm.whose
        for alarm in ALARMS.values()
        if alarm.metric == "ApproximateNumberOfMessagesVisible"
    }
    assert len(queues) == 2


def test_alarms_are_mailed(expanded: Template) -> None:
    topic = expanded["Resources"]["AlarmTopic"]
    assert topic["Condition"] == "HasAlarmEmail"
    assert topic["Properties"]["Subscription"][0]["Protocol"] == "email"
