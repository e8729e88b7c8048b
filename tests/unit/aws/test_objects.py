"""An object that does not exist is an answer; every other failure is an error."""

import io

import pytest
from botocore.exceptions import ClientError

from bridge.aws.objects import open_object, read_object
from tests.unit.scripted_aws import Refusal, ScriptedAws


def test_the_content_of_an_object_is_read_whole() -> None:
    aws = ScriptedAws("s3", {"Body": io.BytesIO(b"content")})
    assert read_object(aws.client, "data", "a/b") == b"content"
    (request,) = aws.requests("GetObject")
    assert (request["Bucket"], request["Key"]) == ("data", "a/b")


def test_an_object_that_does_not_exist_is_none() -> None:
    aws = ScriptedAws("s3", Refusal("NoSuchKey"))
    assert read_object(aws.client, "data", "a") is None
    assert open_object(aws.client, "data", "a") is None


@pytest.mark.parametrize("code", ["AccessDenied", "NoSuchBucket", "SlowDown"])
def test_every_other_failure_is_raised(code: str) -> None:
    aws = ScriptedAws("s3", Refusal(code))
    with pytest.raises(ClientError):
        read_object(aws.client, "data", "a")


def test_an_opened_object_is_not_read_yet() -> None:
    body = io.BytesIO(b"content")
    found = open_object(ScriptedAws("s3", {"Body": body}).client, "data", "a")
    assert found is not None
    assert body.tell() == 0
