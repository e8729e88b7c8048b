"""Kinesis records in the form in which Lambda hands them to a function."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.cloudformation.template import ACCOUNT
from sandbox.lambda_runtime.destinations import timestamp


@dataclass(frozen=True, slots=True)
class ShardRecord:
    """One record; `encoded` is its JSON in the event, `arrival` in epoch seconds."""

    sequence_number: str
    arrival: float
    encoded: str


def shard_record(
    record: Mapping[str, Any], shard_id: str, stream_arn: str
) -> ShardRecord:
    """A record of GetRecords in the form of the event."""
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
    """The event with these records, as JSON."""
    joined = ", ".join(record.encoded for record in records)
    return f'{{"Records": [{joined}]}}'.encode()


def batch_info(
    records: Sequence[ShardRecord], shard_id: str, stream_arn: str
) -> dict[str, Any]:
    """Where a failed batch is in its stream, as an invocation record says it."""
    first, last = records[0], records[-1]
    return {
        "shardId": shard_id,
        "startSequenceNumber": first.sequence_number,
        "endSequenceNumber": last.sequence_number,
        "approximateArrivalOfFirstRecord": timestamp(first.arrival),
        "approximateArrivalOfLastRecord": timestamp(last.arrival),
        "batchSize": len(records),
        "streamArn": stream_arn,
    }
