"""A quarantined item has its reason and its origin, and is stored where it expires."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from bridge.errors import MalformedInput, PermanentError, RetryableError
from bridge.quarantine import Quarantine, QuarantinedItem, from_lines
from tests.unit.scripted_aws import Refusal, ScriptedAws

AT = datetime(2031, 4, 5, 6, 7, 8, tzinfo=UTC)
ITEM = QuarantinedItem(
    original=b"\xff{",
    reason="not_json",
    field="events",
    message="why",
    position="shard-1/5",
    kind="users.x",
    mapping="3",
    arrived=1.5,
    key=("Name", "u", 7, "id"),
)


def test_items_are_kept_whole_under_their_flow_and_hour() -> None:
    aws = ScriptedAws("s3", {})
    key = Quarantine(aws.client, "data", "currents").put("batch", AT, [ITEM, ITEM])
    assert key == "quarantine/currents/date=2031-04-05/hour=06/batch.ndjson"
    (request,) = aws.requests("PutObject")
    assert (request["Bucket"], request["Key"]) == ("data", key)
    assert request["ContentType"] == "application/x-ndjson"
    assert list(from_lines(request["Body"])) == [ITEM, ITEM]


def test_a_line_has_these_fields_and_no_other() -> None:
    """Operators read them with jq; the replay reads them back."""
    aws = ScriptedAws("s3", {})
    Quarantine(aws.client, "data", "currents").put("batch", AT, [ITEM])
    (line,) = aws.requests("PutObject")[0]["Body"].splitlines()
    assert json.loads(line) == {
        "original": "/3s=",
        "reason": "not_json",
        "field": "events",
        "message": "why",
        "position": "shard-1/5",
        "kind": "users.x",
        "mapping": "3",
        "arrived": 1.5,
        "key": ["Name", "u", 7, "id"],
    }


def test_a_file_is_copied_as_it_is_with_the_reason_and_its_place() -> None:
    aws = ScriptedAws("s3", {})
    error = MalformedInput("avro_header", "no Avro file")
    quarantine = Quarantine(aws.client, "data", "currents")
    kept = quarantine.copy("name", AT, "theirs", "a b/é.avro", error)
    assert kept == "quarantine/currents/date=2031-04-05/hour=06/name.file"
    (request,) = aws.requests("CopyObject")
    assert request == {
        "Bucket": "data",
        "Key": kept,
        "CopySource": "theirs/a%20b/%C3%A9.avro",
        "MetadataDirective": "REPLACE",
        "Metadata": {
            "reason": "avro_header",
            "message": "no Avro file",
            "position": "theirs/a%20b/%C3%A9.avro",
        },
    }


def test_a_long_place_keeps_within_what_s3_takes_as_metadata() -> None:
    aws = ScriptedAws("s3", {})
    error = PermanentError("r", "m")
    Quarantine(aws.client, "data", "f").copy("n", AT, "b", "é" * 1024, error)
    metadata = aws.requests("CopyObject")[0]["Metadata"]
    assert sum(len(name) + len(value) for name, value in metadata.items()) < 2048


def test_what_could_not_be_kept_is_told() -> None:
    quarantine = Quarantine(ScriptedAws("s3", Refusal("SlowDown")).client, "data", "f")
    keeps: list[Callable[[], str]] = [
        lambda: quarantine.put("n", AT, [ITEM]),
        lambda: quarantine.copy("n", AT, "b", "k", PermanentError("r", "m")),
    ]
    for keep in keeps:
        with pytest.raises(RetryableError) as caught:
            keep()
        assert caught.value.reason == "quarantine_unavailable"
        assert "canary" not in f"{caught.value!r}"
