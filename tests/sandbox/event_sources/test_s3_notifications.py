"""S3 event notifications: who hears of an object, and in what words."""

import json
from typing import Any

import pytest

from sandbox.cloud import Cloud
from sandbox.cloudformation.settings import ObjectSource
from sandbox.event_sources.s3_notifications import complete, matches

SOURCE = ObjectSource(
    "Loader",
    "bucket",
    ("s3:ObjectCreated:*",),
    (("prefix", "in/"), ("suffix", ".avro")),
)


def change(
    key: str, name: str = "ObjectCreated:Put", bucket: str = "bucket"
) -> dict[str, Any]:
    return {
        "eventName": name,
        "eventTime": "2026-01-01T00:00:00.000Z",
        "s3": {"bucket": {"name": bucket}, "object": {"key": key, "size": 1}},
    }


@pytest.mark.parametrize(
    ("reported", "heard"),
    [
        (change("in%2Fa.avro"), True),
        (change("in%2Fa+b.avro"), True),
        (change("out%2Fa.avro"), False),
        (change("in%2Fa.json"), False),
        (change("in%2Fa.avro", "ObjectRemoved:Delete"), False),
        (change("in%2Fa.avro", "ObjectCreated:Copy"), True),
        (change("in%2Fa.avro", bucket="other"), False),
    ],
)
def test_events_and_filters_decide_who_hears(
    reported: dict[str, Any], *, heard: bool
) -> None:
    """Amazon S3 User Guide, "Configuring event notifications using object key name
    filtering" (notification-how-to-filtering)."""
    assert matches(SOURCE, reported) is heard


def test_the_key_is_url_encoded_with_plus_for_a_space_and_plain_slashes() -> None:
    """Amazon S3 User Guide, "Event message structure"
    (notification-content-structure). moto encodes the slashes too."""
    record = complete(change("in%2Fa+b%2B%C3%A9.avro"))
    assert record["s3"]["object"]["key"] == "in/a+b%2B%C3%A9.avro"


def test_an_object_reaches_the_function_as_s3_reports_it(cloud: Cloud) -> None:
    """Amazon S3 User Guide, "Event message structure"
    (notification-content-structure)."""
    resources = cloud.description["resources"]
    s3, sqs = cloud.client("s3"), cloud.client("sqs")
    s3.put_object(Bucket=resources["Bucket"], Key="a b/c.txt", Body=b"no")
    s3.put_object(Bucket=resources["Bucket"], Key="a b/c.avro", Body=b"yes")
    cloud.drain(20)
    received = sqs.receive_message(
        QueueUrl=resources["Results"], MaxNumberOfMessages=10
    )
    bodies = [json.loads(message["Body"]) for message in received["Messages"]]
    for message in received["Messages"]:
        handle = message["ReceiptHandle"]
        sqs.delete_message(QueueUrl=resources["Results"], ReceiptHandle=handle)
    [[_, event]] = [body for body in bodies if "s3" in body[1]["Records"][0]]
    [record] = event["Records"]
    assert record["eventSource"] == "aws:s3"
    assert record["eventName"] == "ObjectCreated:Put"
    assert record["s3"]["bucket"]["name"] == resources["Bucket"]
    assert record["s3"]["object"]["key"] == "a+b/c.avro"
    assert record["s3"]["object"]["size"] == 3
