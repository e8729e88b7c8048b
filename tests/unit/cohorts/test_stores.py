"""What is asked of S3 and SQS for a page and for its message."""

import io
from typing import Any

import pytest

from bridge.cohorts.adapters.s3_pages import S3PageStore
from bridge.cohorts.adapters.sqs_queue import SqsQueue
from bridge.cohorts.messages import (
    CohortKey,
    MeasureRemovalMessage,
    Message,
    PageMessage,
    ReleaseMessage,
    RescanMessage,
    write,
)
from bridge.errors import PermanentError, RetryableError
from bridge.mixpanel.cohort_webhook import Action
from tests.unit.scripted_aws import Refusal, ScriptedAws

KEY = CohortKey(project="33", cohort="7")
PAGE = PageMessage(key=KEY, seq=5, action=Action.ADD, page="1", digest="d")
URL = "https://queue.example/cohorts.fifo"


@pytest.mark.parametrize(
    "message",
    [
        PAGE,
        RescanMessage(key=KEY),
        MeasureRemovalMessage(key=KEY, seq=5),
        ReleaseMessage(key=KEY, seq=5),
    ],
    ids=lambda message: message.kind,
)
def test_a_message_names_its_cohort_as_the_group_and_itself(message: Message) -> None:
    aws = ScriptedAws("sqs", {"MessageId": "m"})
    SqsQueue(aws.client, URL).send(message)
    assert aws.requests("SendMessage") == [
        {
            "QueueUrl": URL,
            "MessageBody": write(message),
            "MessageGroupId": KEY.group,
            "MessageDeduplicationId": message.deduplication_id,
        }
    ]


def test_one_group_a_cohort() -> None:
    """Two groups would be two writers; one for two cohorts would make them wait."""
    groups = {
        CohortKey(project=project, cohort=cohort).group
        for project, cohort in [("33", "7"), ("33", "8"), ("3", "37"), ("34", "7")]
    }
    assert len(groups) == 4
    assert PAGE.key.group == RescanMessage(key=KEY).key.group


@pytest.mark.parametrize(
    "change",
    [
        {"key": CohortKey(project="33", cohort="8")},
        {"seq": 6},
        {"action": Action.REMOVE},
        {"page": "2"},
        {"digest": "e"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_two_pages_are_never_taken_for_one(change: dict[str, Any]) -> None:
    other = PAGE.model_copy(update=change)
    assert other.deduplication_id != PAGE.deduplication_id


@pytest.mark.parametrize(
    "change",
    [
        {"baseline": 1},
        {"aborted": (1,)},
        {"day": 1},
        {"days": 1},
        {"destination": "x"},
        {"shard": 1},
        {"after": "x"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_two_steps_of_settling_are_never_taken_for_one(change: dict[str, Any]) -> None:
    step = RescanMessage(key=KEY)
    other = step.model_copy(update=change)
    assert other.deduplication_id != step.deduplication_id


def test_a_message_that_is_resent_names_itself_as_before() -> None:
    assert PAGE.model_copy().deduplication_id == PAGE.deduplication_id
    assert PAGE.deduplication_id.isalnum()
    assert len(PAGE.deduplication_id) <= 128


def test_a_queue_that_fails_is_told_without_its_words() -> None:
    aws = ScriptedAws("sqs", Refusal("AWS.SimpleQueueService.QueueDeletedRecently"))
    with pytest.raises(RetryableError) as caught:
        SqsQueue(aws.client, URL).send(PAGE)
    assert caught.value.reason == "queue_unavailable"
    assert "canary" not in f"{caught.value!r}"


def test_a_page_is_kept_by_its_content_below_its_cohort() -> None:
    aws = ScriptedAws("s3", {})
    S3PageStore(aws.client, "data").put(KEY, "digest", b"content")
    (request,) = aws.requests("PutObject")
    assert (request["Bucket"], request["Key"]) == ("data", "pages/33/7/digest.json")
    assert request["Body"] == b"content"


def test_a_page_is_read_from_where_it_was_kept() -> None:
    aws = ScriptedAws("s3", {"Body": io.BytesIO(b"[]")})
    S3PageStore(aws.client, "data").get(KEY, "digest")
    (request,) = aws.requests("GetObject")
    assert (request["Bucket"], request["Key"]) == ("data", "pages/33/7/digest.json")


@pytest.mark.parametrize(
    ("code", "error", "reason"),
    [
        ("NoSuchKey", PermanentError, "page_expired"),
        ("AccessDenied", RetryableError, "page_store_unavailable"),
        ("SlowDown", RetryableError, "page_store_unavailable"),
        ("NoSuchBucket", RetryableError, "page_store_unavailable"),
    ],
)
def test_a_page_counts_as_gone_only_where_s3_says_so(
    code: str, error: type[PermanentError | RetryableError], reason: str
) -> None:
    aws = ScriptedAws("s3", Refusal(code))
    with pytest.raises(error) as caught:
        S3PageStore(aws.client, "data").get(KEY, "digest")
    assert caught.value.reason == reason
