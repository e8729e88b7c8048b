"""Kinesis records in the form in which Lambda hands them to a function."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.cloudformation.template import ACCOUNT


@dataclass(frozen=True, slots=True)
class ShardRecord:
    """One record; `encoded` is its JSON in the event, `arrival` in epoch seconds."""

    sequence_number: str
    arrival: float
    encoded: str


def shard_record(
    record: Mapping[str, Any], shard_id: str, stream_arn: str
) -> ShardRecord:
    """A record of GetRecords as one of the event."""
    sequence_number = record["SequenceNumber"]
    arrival = round(record["ApproximateArrivalTimestamp"].timestamp(), 3)
    content = {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": record["PartitionKey"],
            "sequenceNumber": sequence_number,
            "data": base64.b64encode(record["Data"]).decode(),
            "approximateArrivalTimestamp": arrival,
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"{shard_id}:{sequence_number}",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": f"arn:aws:iam::{ACCOUNT}:role/sandbox",
        "awsRegion": stream_arn.split(":")[3],
        "eventSourceARN": stream_arn,
    }
    return ShardRecord(sequence_number, arrival, json.dumps(content))


def encoded_event(records: Sequence[ShardRecord]) -> bytes:
    """The event these records make."""
    joined = ", ".join(record.encoded for record in records)
    return f'{{"Records": [{joined}]}}'.encode()
