"""The function cohort_consumer on moto, with a Braze of its own on the loopback."""

import io
import json
from typing import Any

import pytest

from bridge.cohorts.apply.context import Policy
from bridge.quarantine import from_lines
from functions.cohort_consumer import app
from sandbox.braze import BrazeStandIn
from tests.integration.consumer import COHORT, accept, consume, make_visible
from tests.integration.stack import (
    REST_KEY,
    Context,
    Stack,
    forget_secrets,
    sample,
)


def test_r1_r4_r5_members_become_members_of_the_braze_cohort(
    stack: Stack, braze: BrazeStandIn
) -> None:
    accept("cohort_webhook")
    assert consume(stack) == []
    anonymous = braze.workspace.find("device", "0f6a1c1e-7d0a-4f2b-9d53-2b1c7a9e4d10")
    assert anonymous
    assert braze.workspace.cohort_members(*COHORT) == {
        "cust-00017",
        "cust-00018",
        anonymous.braze_id,
    }


def test_the_sample_event_works_on_what_the_webhook_left(
    stack: Stack, braze: BrazeStandIn
) -> None:
    accept("cohort_webhook")
    answer = app.handler(sample("cohort_consumer"), Context())
    assert answer == {"batchItemFailures": []}
    assert "cust-00017" in braze.workspace.cohort_members(*COHORT)


def test_r6_the_device_of_an_identified_user_is_left_alone(
    stack: Stack, braze: BrazeStandIn
) -> None:
    braze.workspace.add_user(external_id="known", devices=["d-7"])
    members = [{"mixpanel_distinct_id": "$device:d-7"}]
    accept("cohort_webhook", members=members)
    assert consume(stack) == []
    assert braze.workspace.cohort_members(*COHORT) == set()


def test_users_that_braze_does_not_know_are_never_created(
    stack: Stack, braze: BrazeStandIn
) -> None:
    before = len(braze.workspace.profiles)
    accept("cohort_webhook", members=[{"mixpanel_distinct_id": "stranger"}])
    assert consume(stack) == []
    assert len(braze.workspace.profiles) == before


@pytest.mark.parametrize(
    "fault",
    ["500", "503", "429", "429 bare", "reset before", "reset after", "fatal message"],
)
def test_a_fault_of_braze_is_overcome_without_a_wrong_member(
    stack: Stack, braze: BrazeStandIn, fault: str
) -> None:
    accept("cohort_webhook")
    braze.faults.plan(fault, times=2, path="/users/track")
    while consume(stack):
        make_visible(stack)
    assert len(braze.workspace.cohort_members(*COHORT)) == 3


def test_an_outage_leaves_the_page_in_the_queue_with_a_growing_pause(
    stack: Stack, braze: BrazeStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept("cohort_webhook")
    braze.faults.rates = {"503": 1.0}
    pauses: list[int] = []
    change = app.consumer().sqs.change_message_visibility

    def noted(**arguments: Any) -> Any:
        pauses.append(arguments["VisibilityTimeout"])
        return change(**arguments | {"VisibilityTimeout": 0})

    monkeypatch.setattr(app.consumer().sqs, "change_message_visibility", noted)
    for _ in range(4):
        assert len(consume(stack)) == 1
    assert pauses == [2, 4, 8, 16]
    braze.faults.clear()
    assert consume(stack) == []
    assert len(braze.workspace.cohort_members(*COHORT)) == 3


def test_the_settings_reach_the_policy(
    stack: Stack, braze: BrazeStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_REMOVAL_FRACTION", "0.25")
    monkeypatch.setenv("GUARDED_MEMBERS", "8")
    monkeypatch.setenv("REASSERT_DAYS", "9")
    monkeypatch.setenv("WRITE_GAP_SECONDS", "7")
    assert app.Consumer().policy == Policy(
        max_removal_fraction=0.25,
        guarded_members=8,
        reassert_days=9,
        write_gap_seconds=7,
    )


def test_a_rejected_key_defers_and_quarantines_nothing(
    stack: Stack, braze: BrazeStandIn, logged: io.StringIO
) -> None:
    accept("cohort_webhook")
    wrong = json.dumps({"rest_api_key": "canary-wrong-key"})
    stack.secrets.put_secret_value(SecretId="braze", SecretString=wrong)
    forget_secrets()
    assert len(consume(stack)) == 1
    assert stack.objects("quarantine/") == []
    # Braze's answer repeats the key; nothing of it may show.
    assert "canary-wrong-key" not in logged.getvalue()
    assert "braze_401" in logged.getvalue()
    good = json.dumps({"rest_api_key": REST_KEY})
    stack.secrets.put_secret_value(SecretId="braze", SecretString=good)
    app.consumer().braze.secret._refreshed_at = float("-inf")
    forget_secrets()
    make_visible(stack)
    assert consume(stack) == []


def test_a_new_key_is_taken_at_the_first_rejection(
    stack: Stack, braze: BrazeStandIn
) -> None:
    accept("cohort_webhook")
    app.consumer().braze.secret.get()
    braze.keys = {"rotated-key": braze.keys[REST_KEY]}
    rotated = json.dumps({"rest_api_key": "rotated-key"})
    stack.secrets.put_secret_value(SecretId="braze", SecretString=rotated)
    assert consume(stack) == []


def test_a_message_that_is_none_of_ours_is_quarantined_with_its_bytes(
    stack: Stack, braze: BrazeStandIn
) -> None:
    record = sample("cohort_consumer")["Records"][0] | {"body": '{"kind": "odd"}'}
    assert app.handler({"Records": [record]}, Context()) == {"batchItemFailures": []}
    (quarantined,) = stack.objects("quarantine/cohorts/")
    (item,) = from_lines(quarantined)
    assert (item.original, item.reason) == (b'{"kind": "odd"}', "message")


def test_a_failure_holds_up_its_own_group_alone(
    stack: Stack, braze: BrazeStandIn
) -> None:
    accept("cohort_webhook")
    accept("cohort_webhook", mixpanel_cohort_id="9")
    accept("cohort_webhook", mixpanel_session_id="s2", members=[])
    stack.s3.delete_objects(
        Bucket=stack.bucket,
        Delete={"Objects": [{"Key": key} for key in pages_of(stack, "9")]},
    )
    braze.faults.plan("503", times=4, path="/users/track")
    failed = consume(stack)
    # The first cohort's two messages wait; the other cohort's page, whose members are
    # gone, was quarantined meanwhile.
    assert len(failed) == 2
    assert len(stack.objects("quarantine/cohorts/")) == 1


def pages_of(stack: Stack, cohort: str) -> list[str]:
    listed = stack.s3.list_objects_v2(Bucket=stack.bucket, Prefix="pages/")
    return [o["Key"] for o in listed["Contents"] if f"/{cohort}/" in o["Key"]]


def test_without_time_the_page_comes_again(stack: Stack, braze: BrazeStandIn) -> None:
    accept("cohort_webhook")
    assert len(consume(stack, seconds=5.0)) == 1
    assert braze.workspace.cohort_members(*COHORT) == set()


def test_no_member_and_no_key_is_logged(
    stack: Stack,
    braze: BrazeStandIn,
    logged: io.StringIO,
    capsys: pytest.CaptureFixture[str],
) -> None:
    accept("cohort_webhook")
    braze.faults.plan("html", path="/users/track")
    consume(stack)
    printed = capsys.readouterr()
    logs = logged.getvalue() + printed.out + printed.err
    assert "message processed" in logs
    for canary in (REST_KEY, "cust-00017", "ada@example.com", "0f6a1c1e"):
        assert canary not in logs
