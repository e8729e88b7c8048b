"""`bridge replay` brings back what is kept elsewhere than in the quarantine's items."""

import base64
import io
import json
from dataclasses import replace
from typing import Any

import boto3
import pytest

from bridge.currents.decode.record import decode
from bridge.currents.stream.arrival import first_arrival
from bridge.errors import MalformedInput
from bridge.quarantine import Quarantine
from bridge.reasons import Reason
from cli.stack import Resources, RunningStack
from sandbox.braze.currents import CurrentsSource, avro_file, avro_key
from tests.integration.operator import DAY, Operator
from tests.integration.stack import EVENTS, REGION

OPEN = "users.messages.email.Open"
ARRIVED = 1_767_225_700.25


def events(count: int) -> list[dict[str, Any]]:
    made = CurrentsSource(["u"], 1_767_225_600)
    return [made.event(OPEN) for _ in range(count)]


def streamed(operator: Operator) -> list[tuple[float, dict[str, Any]]]:
    """Arrival and event of all that is in the stream."""
    records = operator.stream_records()
    return [
        (first_arrival(record["PartitionKey"], float("inf")), decoded.event)
        for record in records
        for decoded in decode(record["Data"])
    ]


@pytest.mark.parametrize("damage", [False, True])
def test_a_quarantined_file_comes_back_as_far_as_it_can_be_read(
    operator: Operator, damage: bool
) -> None:
    content = avro_file(OPEN, events(300))
    half = len(content) // 2
    if damage:
        content = content[:half] + b"\xff" * 40 + content[half + 40 :]
    operator.s3.create_bucket(
        Bucket="currents", CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    operator.s3.put_object(Bucket="currents", Key=avro_key(OPEN), Body=content)
    Quarantine(operator.s3, "data", "currents").copy(
        "f", DAY, "currents", avro_key(OPEN), MalformedInput(Reason.BAD_AVRO, "why")
    )
    _, said = operator.run("status")
    assert "1  files quarantined in currents" in said
    status, said = operator.run("replay --date 2026-11-03")
    assert status == 0
    found = [event for _, event in streamed(operator)]
    assert {event["event_type"] for event in found} == {OPEN}
    assert (len(found) == 300) is not damage
    assert len(found) > 50
    assert f"{len(found):,}  of quarantined files: events replayed" in said
    assert ("files left: bad_avro" in said) is damage


def given_up(data: bytes, key: str = "k") -> bytes:
    """What the event source mapping writes of a batch with one record."""
    record = {
        "eventID": "shardId-0:1",
        "kinesis": {
            "partitionKey": key,
            "sequenceNumber": "1",
            "approximateArrivalTimestamp": ARRIVED,
            "data": base64.b64encode(data).decode(),
        },
    }
    payload = json.dumps({"Records": [record]})
    return json.dumps({"version": "1.0", "payload": payload}).encode()


@pytest.mark.parametrize(
    ("key", "arrived"), [("k", ARRIVED), ("arrived=1767000000.5/x", 1_767_000_000.5)]
)
def test_records_that_kinesis_gave_up_come_back_with_their_first_arrival(
    operator: Operator, key: str, arrived: float
) -> None:
    (event,) = events(1)
    where = "aws/lambda/uuid/shardId-0/2026/11/03/2026-11-03T04.00.00-x"
    content = given_up(json.dumps(event).encode(), key)
    operator.s3.put_object(Bucket="data", Key=where, Body=content)
    operator.s3.put_object(Bucket="data", Key=f"{where}2", Body=b"damaged")
    _, said = operator.run("status")
    assert "2  batches that Kinesis gave up" in said
    status, said = operator.run("replay --date 2026-11-02")
    assert streamed(operator) == []
    status, said = operator.run("replay --date 2026-11-03")
    assert status == 0
    assert streamed(operator) == [(arrived, event)]
    assert "1  of records that Kinesis gave up: replayed" in said
    assert "1  of records that Kinesis gave up: left: not readable" in said


@pytest.fixture
def letters(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The loader's dead-letter queue of a stack that has one."""
    sqs: Any = boto3.client("sqs", REGION)
    url = sqs.create_queue(QueueName="loader-dead-letters")["QueueUrl"]
    found = RunningStack.deployed

    def deployed(name: str, region: str | None) -> RunningStack:
        stack = found(name, region)
        queue = {"CurrentsLoaderDeadLetterQueue": url}
        return replace(stack, resources=Resources({**stack.resources, **queue}))

    monkeypatch.setattr(RunningStack, "deployed", deployed)
    operator.s3.create_bucket(
        Bucket="currents", CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    return sqs, url


@pytest.mark.parametrize("reported", [True, False])
def test_a_file_whose_loading_failed_comes_back_and_its_letter_goes(
    operator: Operator, letters: Any, reported: bool
) -> None:
    sqs, url = letters
    event = json.loads((EVENTS / "currents_loader.json").read_text())
    key = "odd layout/with spaces+and plus/event_type=a.b/users.avro"
    event["Records"][0]["s3"]["object"]["key"] = key.replace("+", "%2B").replace(
        " ", "+"
    )
    event["Records"][0]["s3"]["bucket"]["name"] = "currents"
    body = {"version": "1.0", "requestPayload": event} if reported else event
    operator.s3.put_object(
        Bucket="currents", Key=key, Body=io.BytesIO(avro_file(OPEN, events(9)))
    )
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps(body))
    sqs.send_message(QueueUrl=url, MessageBody="damaged")
    _, said = operator.run("status")
    assert "2  messages in CurrentsLoaderDeadLetterQueue" in said
    status, said = operator.run("replay")
    assert status == 0
    assert [event["event_type"] for _, event in streamed(operator)] == ["a.b"] * 9
    assert "9  of the loader's dead letters: events replayed" in said
    assert "1  of the loader's dead letters: left: not readable" in said
    _, said = operator.run("status")
    assert "1  messages in CurrentsLoaderDeadLetterQueue" in said


def test_a_letter_whose_file_is_gone_goes_too(operator: Operator, letters: Any) -> None:
    sqs, url = letters
    event = json.loads((EVENTS / "currents_loader.json").read_text())
    event["Records"][0]["s3"]["bucket"]["name"] = "currents"
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps(event))
    _, said = operator.run("replay")
    assert "gone: the file was deleted" in said
    _, said = operator.run("status")
    assert "0  messages in CurrentsLoaderDeadLetterQueue" in said
