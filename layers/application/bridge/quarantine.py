"""The quarantine in S3: what cannot be processed, as it came, and the reason.

One object is one batch as newline-separated JSON: `aws s3 cp`, `jq` and `base64 -d` are
all it takes to read it. The key is derived from the position of the batch, so a batch
that is tried again overwrites its object.
"""

import base64
import binascii
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from bridge.aws.clients import answering
from bridge.errors import MalformedInput, PermanentError
from bridge.reasons import Reason

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MAX_FIELD, MAX_MESSAGE = 255, 1_000
"""Characters; longer texts of a vendor are cut."""

SAMPLES = "-samples"
"""Ends the name of an object with samples of what the stream waits for."""

type Key = tuple[str, str, int, str]
"""Event name, distinct id, time and `$insert_id`, by which Mixpanel de-duplicates."""


@dataclass(frozen=True, slots=True)
class QuarantinedItem:
    """One item: its original bytes, the reason, and where it came from.

    `kind` is its event type, if it could be read; `mapping` is the version of the
    mapping that was applied, `key` identifies the event that it was mapped to, if any.
    `arrived` is in epoch seconds. `summary` says of a sample what it is a sample of, in
    words that are fit for a log. `message` is often the vendor's and may quote the
    item, so it is never logged.
    """

    original: bytes
    reason: str
    field: str = ""
    message: str = ""
    position: str = ""
    kind: str = ""
    mapping: str = ""
    arrived: float = 0.0
    key: Key | None = None
    summary: str = ""


def to_lines(items: Iterable[QuarantinedItem]) -> bytes:
    """Encode items, one JSON object a line; `original` is base64."""
    return b"".join(_to_line(item) for item in items)


def _to_line(item: QuarantinedItem) -> bytes:
    values = asdict(item) | {
        "original": base64.b64encode(item.original).decode(),
        "field": item.field[:MAX_FIELD],
        "message": item.message[:MAX_MESSAGE],
    }
    if not item.summary:
        del values["summary"]
    return json.dumps(values).encode() + b"\n"


def from_lines(content: bytes) -> Iterator[QuarantinedItem]:
    """Decode what `to_lines` wrote; raises `MalformedInput` naming the line."""
    for number, line in enumerate(content.splitlines(), 1):
        try:
            values: dict[str, Any] = json.loads(line)
            values["original"] = base64.b64decode(values["original"], validate=True)
            values["key"] = tuple(values["key"]) if values.get("key") else None
            yield QuarantinedItem(**values)
        except (ValueError, TypeError, KeyError, binascii.Error):
            raise MalformedInput(Reason.QUARANTINE_LINE, f"line {number}") from None


class Quarantine:
    """Writes under `quarantine/<flow>/` of the data bucket."""

    def __init__(self, s3: "S3Client", bucket: str, flow: str) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._flow = flow

    def put(self, name: str, at: datetime, items: Sequence[QuarantinedItem]) -> str:
        """Write the items under a date-partitioned key and return the key.

        `name` is the position of the batch, `at` its time of arrival. Raises
        `RetryableError` when S3 fails: items that are not stored must be delivered
        again.
        """
        key = f"quarantine/{self._flow}/date={at:%Y-%m-%d}/hour={at:%H}/{name}.ndjson"
        with answering("quarantine"):
            self._s3.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=to_lines(items),
                ContentType="application/x-ndjson",
            )
        return key

    def copy(
        self, name: str, at: datetime, bucket: str, key: str, error: PermanentError
    ) -> str:
        """Copy a whole file unchanged, with the reason in its metadata; return its key.

        Raises `RetryableError` when S3 fails.
        """
        target = f"quarantine/{self._flow}/date={at:%Y-%m-%d}/hour={at:%H}/{name}.file"
        with answering("quarantine"):
            self._s3.copy_object(
                Bucket=self._bucket,
                Key=target,
                CopySource={"Bucket": bucket, "Key": key},
                MetadataDirective="REPLACE",
                Metadata={
                    "reason": error.reason,
                    "message": str(error),
                    "position": quote(f"{bucket}/{key}")[:1500],
                },
            )
        return target
