"""Times of the template and of the code that rest on each other."""

import re
from typing import Any

import pytest

from bridge.aws import clients
from bridge.cohorts import backlog, maintenance
from bridge.cohorts.adapters.sync_items import RETENTION_SECONDS
from bridge.cohorts.apply import context
from bridge.cohorts.retry import MAX_PAUSE
from bridge.currents.delivery import send
from bridge.mixpanel.client import ANSWER_SECONDS
from bridge.transport import READ_TIMEOUT
from tests.infrastructure.resources import Template, function, meant, of_type

DAY = 86_400
API_SECONDS = 30
"""An HTTP API waits no longer for a function."""


def queue(template: Template, name: str) -> dict[str, Any]:
    made: dict[str, Any] = of_type(template, "AWS::SQS::Queue")[name]
    return made


def retention(template: Template, name: str) -> int:
    """Seconds for which a queue keeps a message."""
    return int(queue(template, name)["MessageRetentionPeriod"])


def expiry(template: Template, bucket: str) -> dict[str, int]:
    """Seconds for which a bucket keeps objects, by prefix."""
    made = of_type(template, "AWS::S3::Bucket")[bucket]
    rules = made["LifecycleConfiguration"]["Rules"]
    assert {rule["Status"] for rule in rules} == {"Enabled"}
    return {
        rule.get("Prefix", ""): rule["ExpirationInDays"] * DAY
        for rule in rules
        if "ExpirationInDays" in rule
    }


def earlier_versions(template: Template, bucket: str) -> dict[str, int]:
    """Seconds for which a bucket keeps what was overwritten or deleted, by prefix."""
    rules = of_type(template, "AWS::S3::Bucket")[bucket]["LifecycleConfiguration"]
    return {
        rule["Prefix"]: rule["NoncurrentVersionExpiration"]["NoncurrentDays"] * DAY
        for rule in rules["Rules"]
    }


def mapping(template: Template, source: str) -> dict[str, Any]:
    """The event source mapping of a queue or stream."""
    (made,) = (
        each
        for each in of_type(template, "AWS::Lambda::EventSourceMapping").values()
        if meant(each["EventSourceArn"]) == source
    )
    return dict(made)


def maintenance_seconds(template: Template) -> int:
    """How often cohort maintenance runs."""
    (rule,) = of_type(template, "AWS::Events::Rule").values()
    assert rule.get("State", "ENABLED") == "ENABLED"
    assert meant(rule["Targets"][0]["Arn"]) == "CohortMaintenanceFunction"
    minutes = re.fullmatch(r"rate\((\d+) minutes\)", rule["ScheduleExpression"])
    assert minutes
    return int(minutes[1]) * 60


# Cohorts


def test_a_page_is_kept_as_long_as_its_message(expanded: Template) -> None:
    days = expiry(expanded, "DataBucket")
    assert days["pages/"] >= retention(expanded, "CohortQueue")
    assert days["quarantine/"] >= retention(expanded, "CohortQueue")


def test_a_page_waits_no_longer_than_its_message_lives(expanded: Template) -> None:
    assert retention(expanded, "CohortQueue") * 1000 == backlog.MAX_WAIT_MS


def test_what_is_kept_expires_at_all(expanded: Template) -> None:
    """They hold personal data; the rules for events have no prefix here and stay."""
    assert expiry(expanded, "DataBucket") == dict.fromkeys(
        ["pages/", "reports/", "quarantine/", "aws/", "progress/"], 14 * DAY
    )
    assert expiry(expanded, "CurrentsBucket") == {"": 30 * DAY}


def test_personal_data_does_not_live_on_in_earlier_versions(
    expanded: Template,
) -> None:
    bucket = of_type(expanded, "AWS::S3::Bucket")["DataBucket"]
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    earlier = earlier_versions(expanded, "DataBucket")
    assert earlier.pop("rules/") == 365 * DAY
    assert earlier == dict.fromkeys(expiry(expanded, "DataBucket"), DAY)


def test_the_ledger_remembers_a_page_through_both_queues(expanded: Template) -> None:
    """A FIFO queue counts a message's age anew when it becomes a dead letter."""
    both = retention(expanded, "CohortQueue")
    both += retention(expanded, "CohortDeadLetterQueue")
    assert both <= RETENTION_SECONDS


def test_dead_letters_are_kept_as_long_as_messages(expanded: Template) -> None:
    dead_letters = retention(expanded, "CohortDeadLetterQueue")
    assert dead_letters >= retention(expanded, "CohortQueue") == 14 * DAY


def test_a_message_outlasts_an_outage_of_two_days_and_no_expiry(
    expanded: Template,
) -> None:
    redrive = queue(expanded, "CohortQueue")["RedrivePolicy"]
    assert meant(redrive["deadLetterTargetArn"]) == "CohortDeadLetterQueue"
    longest = redrive["maxReceiveCount"] * MAX_PAUSE
    assert 2 * DAY <= longest < retention(expanded, "CohortQueue")


def test_no_message_comes_again_while_it_is_worked_on(expanded: Template) -> None:
    visible = queue(expanded, "CohortQueue")["VisibilityTimeout"]
    assert visible >= 6 * function(expanded, "CohortConsumer")["Timeout"]


def test_the_queue_is_fifo_and_so_are_its_dead_letters(expanded: Template) -> None:
    for name in ("CohortQueue", "CohortDeadLetterQueue"):
        assert queue(expanded, name)["FifoQueue"] is True
        # Each message names itself: its body says not which restart it belongs to.
        assert not queue(expanded, name).get("ContentBasedDeduplication")


def test_maintenance_runs_at_least_as_often_as_its_waits_assume(
    expanded: Template,
) -> None:
    every = maintenance_seconds(expanded) * 1000
    assert every <= maintenance.PATIENCE_MS
    # A cohort that falls silent is seen several times before it counts as gone.
    assert 3 * every <= maintenance.ALARM_MS
    assert every <= maintenance.DAY_MS / 24
    assert function(expanded, "CohortMaintenance")["Timeout"] < maintenance_seconds(
        expanded
    )


def test_a_page_is_its_senders_affair_while_the_webhook_may_run(
    expanded: Template,
) -> None:
    webhook = function(expanded, "CohortWebhook")["Timeout"]
    assert webhook * 1000 < maintenance.PATIENCE_MS
    # Mixpanel calls every half hour, and two calls may fail.
    assert maintenance.SILENT_MS >= 3 * 1_800_000


def seconds_looked_at(template: Template, alarm: str) -> int:
    made = of_type(template, "AWS::CloudWatch::Alarm")[alarm]
    assert made["DatapointsToAlarm"] == 1
    return int(made["Period"] * made["EvaluationPeriods"])


def test_an_alarm_does_not_go_out_between_two_runs_that_ring_it(
    expanded: Template,
) -> None:
    """It would be mailed anew at each of them, for as long as the trouble lasts."""
    for alarm in ("CohortSilentAlarm", "CohortTwoSendersAlarm", "CohortPageAgeAlarm"):
        seconds = seconds_looked_at(expanded, alarm)
        assert seconds > maintenance_seconds(expanded)
    rejected = seconds_looked_at(expanded, "BrazeCredentialsAlarm")
    assert rejected > MAX_PAUSE


# Events


def test_records_go_to_the_bucket_a_day_before_the_stream_forgets(
    expanded: Template,
) -> None:
    (stream,) = of_type(expanded, "AWS::Kinesis::Stream").values()
    oldest = mapping(expanded, "CurrentsStream")["MaximumRecordAgeInSeconds"]
    assert stream["RetentionPeriodHours"] * 3600 - oldest >= DAY
    # A long weekend.
    assert oldest >= 4 * DAY
    assert expiry(expanded, "DataBucket")["aws/"] >= 14 * DAY


def test_a_notification_that_failed_still_has_its_file_and_mark(
    expanded: Template,
) -> None:
    (config,) = of_type(expanded, "AWS::Lambda::EventInvokeConfig").values()
    waits = config["MaximumEventAgeInSeconds"]
    dead_letters = retention(expanded, "CurrentsLoaderDeadLetterQueue")
    assert expiry(expanded, "CurrentsBucket")[""] > waits + dead_letters
    assert expiry(expanded, "DataBucket")["progress/"] >= dead_letters
    assert config["MaximumRetryAttempts"] == 2
    loader = function(expanded, "CurrentsLoader")["Timeout"]
    assert waits > 3 * loader


# Time-outs


@pytest.mark.parametrize("name", ["CohortWebhook", "CurrentsReceiver"])
def test_a_caller_is_answered_before_the_api_gives_up(
    expanded: Template, name: str
) -> None:
    assert function(expanded, name)["Timeout"] < API_SECONDS


def test_a_vendor_may_be_slow_once_within_an_invocation(expanded: Template) -> None:
    consumer = function(expanded, "CohortConsumer")["Timeout"]
    assert consumer > context.SECONDS_FOR_A_STEP + READ_TIMEOUT
    importer = function(expanded, "CurrentsImporter")["Timeout"]
    assert importer > send.SECONDS_FOR_A_CALL + ANSWER_SECONDS


def test_an_answer_of_aws_is_awaited_within_the_margin(expanded: Template) -> None:
    config: Any = clients.CONFIG
    one_try = config.connect_timeout + config.read_timeout
    assert one_try < context.SECONDS_FOR_A_STEP
    assert one_try < send.SECONDS_FOR_A_CALL
    assert one_try < function(expanded, "CohortWebhook")["Timeout"]
