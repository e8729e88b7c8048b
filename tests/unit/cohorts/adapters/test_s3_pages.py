"""What is asked of S3 for a page."""

import io

import pytest

from bridge.cohorts.adapters.s3_pages import S3PageStore
from bridge.cohorts.messages import CohortKey
from bridge.errors import PermanentError, RetryableError
from tests.unit.scripted_aws import Refusal, ScriptedAws

KEY = CohortKey(project="33", cohort="7")


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
