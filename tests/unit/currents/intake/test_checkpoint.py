"""The checkpoint of a file, and what happens when S3 fails."""

import io

import pytest

from bridge.currents.intake.checkpoint import Checkpoint
from bridge.errors import RetryableError
from tests.unit.scripted_aws import Refusal, ScriptedAws


def checkpoint(aws: ScriptedAws, version: str = "v1") -> Checkpoint:
    return Checkpoint(aws.client, "data", "currents/x.avro", version)


def kept(position: bytes) -> ScriptedAws:
    return ScriptedAws("s3", {"Body": io.BytesIO(position)}, {})


def test_a_file_without_a_checkpoint_is_read_from_its_start() -> None:
    assert checkpoint(ScriptedAws("s3", Refusal("NoSuchKey"))).read() == 0


@pytest.mark.parametrize("code", ["AccessDenied", "SlowDown", "NoSuchBucket"])
def test_a_checkpoint_that_cannot_be_read_is_not_taken_for_none(code: str) -> None:
    """Mixpanel would drop the repeats, but a file read from its start may never end."""
    with pytest.raises(RetryableError) as caught:
        checkpoint(ScriptedAws("s3", Refusal(code))).read()
    assert caught.value.reason == "progress_unavailable"


def test_a_checkpoint_is_read_written_and_deleted_under_one_key() -> None:
    aws = kept(b"4200")
    found = checkpoint(aws)
    assert found.read() == 4200
    found.save(5000)
    found.forget()
    assert [operation for operation, _ in aws.asked] == [
        "GetObject",
        "PutObject",
        "DeleteObject",
    ]
    places = {(request["Bucket"], request["Key"]) for _, request in aws.asked}
    ((bucket, key),) = places
    assert bucket == "data"
    assert key.startswith("progress/currents/")
    assert aws.requests("PutObject")[0]["Body"] == b"5000"


def test_a_file_that_was_replaced_has_a_checkpoint_of_its_own() -> None:
    asked = []
    for version in ("v1", "v2"):
        aws = kept(b"1")
        checkpoint(aws, version).read()
        asked.append(aws.requests("GetObject")[0]["Key"])
    assert asked[0] != asked[1]


def test_a_checkpoint_that_was_never_saved_is_not_deleted() -> None:
    aws = ScriptedAws("s3", Refusal("NoSuchKey"))
    found = checkpoint(aws)
    found.read()
    found.forget()
    assert aws.requests("DeleteObject") == []


def test_a_checkpoint_that_cannot_be_written_is_an_error() -> None:
    with pytest.raises(RetryableError) as caught:
        checkpoint(ScriptedAws("s3", Refusal("SlowDown"))).save(1)
    assert caught.value.reason == "progress_unavailable"
