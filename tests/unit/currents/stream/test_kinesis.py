"""PutRecords takes some records and not others, which moto never does."""

import hashlib
from typing import Any

import pytest

from bridge.currents.stream.kinesis import RECORDS_PER_CALL, TRIES, Stream
from bridge.errors import RetryableError
from tests.unit.scripted_aws import Refusal, ScriptedAws

FULL = "ProvisionedThroughputExceededException"


def answer(*errors: str) -> dict[str, Any]:
    """One result a record; an empty word is a success."""
    results = [{"ErrorCode": e} if e else {"SequenceNumber": "1"} for e in errors]
    return {"FailedRecordCount": sum(map(bool, errors)), "Records": results}


def put(aws: ScriptedAws, records: list[bytes]) -> list[float]:
    """Put the records; the pauses."""
    slept: list[float] = []
    Stream(aws.client, "currents", slept.append).put(records)
    return slept


def sent(aws: ScriptedAws) -> list[list[bytes]]:
    return [
        [entry["Data"] for entry in request["Records"]]
        for request in aws.requests("PutRecords")
    ]


def test_only_records_that_failed_are_resent_in_their_order() -> None:
    aws = ScriptedAws(
        "kinesis",
        answer("", FULL, "", "InternalFailure"),
        answer(FULL, ""),
        answer(""),
    )
    slept = put(aws, [b"a", b"b", b"c", b"d"])
    assert sent(aws) == [[b"a", b"b", b"c", b"d"], [b"b", b"d"], [b"b"]]
    assert slept == [0.2, 0.4]


def test_it_gives_up_when_a_record_fails_every_time() -> None:
    aws = ScriptedAws("kinesis", answer("", FULL), answer(FULL))
    with pytest.raises(RetryableError) as caught:
        put(aws, [b"a", b"b"])
    assert caught.value.reason == "stream_throttled"
    assert sent(aws) == [[b"a", b"b"], *[[b"b"]] * (TRIES - 1)]


def test_a_call_that_fails_as_a_whole_is_told_without_its_words() -> None:
    aws = ScriptedAws("kinesis", Refusal("AccessDeniedException"))
    with pytest.raises(RetryableError) as caught:
        put(aws, [b"a"])
    assert caught.value.reason == "stream_unavailable"
    assert "canary" not in f"{caught.value!r}"


def test_an_answer_that_leaves_out_a_record_does_not_count_as_success() -> None:
    aws = ScriptedAws("kinesis", answer(""))
    with pytest.raises(ValueError, match="shorter"):
        put(aws, [b"a", b"b"])


def test_records_go_to_the_stream_under_a_key_of_their_content() -> None:
    aws = ScriptedAws("kinesis", answer("", ""))
    put(aws, [b"a", b"b"])
    (request,) = aws.requests("PutRecords")
    assert request["StreamName"] == "currents"
    keys = [entry["PartitionKey"] for entry in request["Records"]]
    assert keys == [hashlib.sha256(each).hexdigest()[:32] for each in (b"a", b"b")]


def test_a_call_keeps_within_kinesis_limits() -> None:
    aws = ScriptedAws(
        "kinesis", answer(*[""] * RECORDS_PER_CALL), answer("", "", "", ""), answer("")
    )
    large = bytes(1_000_000)
    put(aws, [b"a"] * RECORDS_PER_CALL + [large] * 5)
    assert [len(records) for records in sent(aws)] == [500, 4, 1]
    assert all(sum(map(len, records)) <= 5_000_000 for records in sent(aws))
