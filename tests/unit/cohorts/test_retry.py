"""How long a failed message and its FIFO group pause."""

import io

import pytest

from bridge.cohorts.retry import (
    FIRST_PAUSE,
    MAX_PAUSE,
    GroupPauses,
    Receipt,
    pause_after,
)
from bridge.errors import RetryableError
from tests.unit.scripted_aws import Refusal, ScriptedAws

URL = "https://queue.example/cohorts.fifo"
FAILED = RetryableError("test")


@pytest.mark.parametrize(
    ("received", "seconds"), [(1, 2), (2, 4), (5, 32), (10, 900), (200, 900)]
)
def test_a_pause_doubles_with_each_receipt_up_to_a_limit(
    received: int, seconds: int
) -> None:
    assert pause_after(FAILED, received) == seconds
    assert pause_after(ValueError(), received) == seconds


@pytest.mark.parametrize(
    ("wish", "seconds"), [(0.0, 1), (2.5, 3), (60.0, 61), (5_000.0, MAX_PAUSE)]
)
def test_a_vendor_that_asks_for_a_pause_gets_it_within_the_limit(
    wish: float, seconds: int
) -> None:
    assert pause_after(RetryableError("test", retry_after=wish), 9) == seconds


def test_messages_behind_a_failed_one_get_the_pause_of_their_group() -> None:
    aws = ScriptedAws("sqs", {})
    pauses = GroupPauses(aws.client, URL)
    failed, behind = Receipt("g", "h1", 3), Receipt("g", "h2", 1)
    pauses.defer(failed, FAILED)
    pauses.apply([failed, behind, Receipt("other", "h3", 1)])
    assert aws.requests("ChangeMessageVisibility") == [
        {"QueueUrl": URL, "ReceiptHandle": handle, "VisibilityTimeout": seconds}
        for handle, seconds in [("h1", 8), ("h2", 8), ("h3", FIRST_PAUSE)]
    ]


def test_a_pause_that_cannot_be_set_is_logged_and_the_others_are_set(
    logged: io.StringIO,
) -> None:
    aws = ScriptedAws("sqs", Refusal("ReceiptHandleIsInvalid"), {})
    GroupPauses(aws.client, URL).apply([Receipt("g", "h1", 1), Receipt("g", "h2", 1)])
    assert len(aws.asked) == 2
    assert "pause not set" in logged.getvalue()
    assert "canary" not in logged.getvalue()
