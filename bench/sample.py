"""Currents events as Lambda gets them: invoke payloads of Kinesis, and an Avro file.

The events are those of the sandbox's Braze, which draws them from a seeded source, so
that every run measures the same bytes.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import batched
from pathlib import Path

from bridge.currents.stream.pack import compress
from sandbox.braze.currents import CurrentsSource, avro_file, avro_key

EVENTS = 20_000
"""Different events in a file; longer runs feed the file several times."""

PACKED = 100
"""Events in a packed record: what one call of Braze's HTTP connector holds."""

FIRST = 100
"""Events for a process to start with: most types are among them."""

AVRO_TYPE = "users.messages.email.Open"
_START = 1_767_225_600
_ARN = "arn:aws:kinesis:us-east-1:123456789012:stream/currents"


def events() -> list[bytes]:
    """The events in Braze's HTTP form, one JSON object each."""
    source = CurrentsSource([f"cust-{n:06d}" for n in range(5_000)], _START)
    return [_json(source.event()) for _ in range(EVENTS)]


def one_a_record(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Records of one event."""
    yield from lines


def packed(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Records as Braze's connector posts them: `{"events": […]}`."""
    for group in batched(lines, PACKED, strict=False):
        yield b'{"events":[' + b",".join(group) + b"]}"


def gzipped(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Records as our receiver packs them: a gzipped array."""
    for group in batched(lines, PACKED, strict=False):
        yield compress(b"[" + b",".join(group) + b"]")


def write_payloads(path: Path, records: Iterable[bytes], batch: int) -> None:
    """One invoke payload of at most `batch` records a line."""
    with path.open("wb") as out:
        sequence = 49_590_338_271_490_256_608_559_692_538_361_571_095
        for group in batched(records, batch, strict=False):
            out.write(_json({"Records": _records(group, sequence)}) + b"\n")
            sequence += len(group)


def write_first(path: Path, lines: Sequence[bytes]) -> None:
    """A payload for the first call, which has the costs of a process's start."""
    write_payloads(path, one_a_record(lines[:FIRST]), FIRST)


def write_avro(path: Path) -> str:
    """A file of Currents' storage export; returns its key in the bucket."""
    source = CurrentsSource([f"cust-{n:06d}" for n in range(5_000)], _START)
    path.write_bytes(
        avro_file(AVRO_TYPE, (source.event(AVRO_TYPE) for _ in range(EVENTS)))
    )
    return avro_key(AVRO_TYPE)


def _records(group: Sequence[bytes], sequence: int) -> list[dict[str, object]]:
    return [
        {
            "kinesis": {
                "kinesisSchemaVersion": "1.0",
                "partitionKey": hashlib.sha256(data).hexdigest()[:32],
                "sequenceNumber": str(sequence + number),
                "data": base64.b64encode(data).decode(),
                "approximateArrivalTimestamp": _START + 86_400.123,
            },
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventID": f"shardId-000000000000:{sequence + number}",
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": "arn:aws:iam::123456789012:role/importer",
            "awsRegion": "us-east-1",
            "eventSourceARN": _ARN,
        }
        for number, data in enumerate(group)
    ]


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
