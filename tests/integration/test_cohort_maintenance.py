"""The function cohort_maintenance on moto."""

import json
import time

import pytest

from bridge.errors import RetryableError
from functions.cohort_maintenance import app
from functions.cohort_webhook import app as webhook
from tests.integration.stack import Context, Stack, sample


def accept_and_lose(stack: Stack) -> str:
    """The message of a page whose webhook was killed before it sent one."""
    webhook.webhook.cache_clear()
    assert webhook.handler(sample("cohort_webhook"), Context())["statusCode"] == 200
    (record,) = stack.messages()
    stack.acknowledge([record])
    (page,) = (
        item
        for item in stack.dynamodb.scan(TableName=stack.table)["Items"]
        if item["sk"]["S"].startswith("P#")
    )
    stack.dynamodb.update_item(
        TableName=stack.table,
        Key={"pk": page["pk"], "sk": page["sk"]},
        UpdateExpression="REMOVE sent",
    )
    return str(record["body"])


def test_a_page_without_a_message_is_resent_once(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = accept_and_lose(stack)
    monkeypatch.setenv("REASSERT_DAYS", "0")
    # The queue still remembers the message it was given five minutes ago.
    forget_messages()
    app.handler({}, Context())
    app.handler({}, Context())
    (record,) = stack.messages()
    assert json.loads(record["body"]) == json.loads(lost)


def forget_messages() -> None:
    from moto.sqs.models import sqs_backends

    for region in sqs_backends["123456789012"].values():
        for queue in region.queues.values():
            queue._messages = []
            queue.deleted_messages = set()


def test_the_days_reassertion_is_begun_once(stack: Stack) -> None:
    accept_and_lose(stack)
    forget_messages()
    for _ in range(3):
        app.handler({}, Context())
    bodies = [json.loads(record["body"]) for record in stack.messages()]
    assert [body["days"] for body in bodies if body["kind"] == "rescan"] == [30]


def test_a_run_that_breaks_off_raises_so_that_lambda_sees_it(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEDGER_TABLE", "gone")
    with pytest.raises(RetryableError, match="next run"):
        app.handler({}, Context())


def test_the_age_of_the_oldest_page_that_waits_is_a_metric(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    webhook.webhook.cache_clear()
    event = sample("cohort_webhook")
    now = event["requestContext"]["timeEpoch"] / 1000
    assert webhook.handler(event, Context())["statusCode"] == 200
    for seconds in (60, 2400):
        monkeypatch.setattr(time, "time", lambda at=now + seconds: at)
        capsys.readouterr()
        app.handler({}, Context())
        printed = capsys.readouterr().out
        assert ('"OldestPageSeconds":[2400.0]' in printed) == (seconds == 2400)
