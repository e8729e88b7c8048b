"""What cannot be delivered, kept in S3 with its original bytes and the reason.

One object holds the lines of one batch as newline-separated JSON, so that `aws s3 cp`,
`jq` and `base64 -d` are all one needs; the key is derived from the position of the
batch, so that a batch that is tried again writes the same object and not a second one.
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

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MAX_FIELD, MAX_MESSAGE = 255, 1_000
"""Characters; what a vendor says is kept in reason."""

type Key = tuple[str, str, int, str]
"""Event name, distinct id, time and `$insert_id`: what Mixpanel de-duplicates by."""


@dataclass(frozen=True, slots=True)
class QuarantinedItem:
    """One item: its bytes as they came, why it is here and where it came from.

    `kind` is its event type or action, as far as it could be read, `mapping` the
    version of the mapping that it met, `key` the event that made of it if it made one.
    `arrived` is when it came in, in epoch seconds. `message` is often the vendor's and
    may quote the item: it belongs here and never into a log.
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


def to_lines(items: Iterable[QuarantinedItem]) -> bytes:
    """Encode items, one JSON object a line; `original` is base64."""
    return b"".join(
        json.dumps(
            asdict(item)
            | {
                "original": base64.b64encode(item.original).decode(),
                "field": item.field[:MAX_FIELD],
                "message": item.message[:MAX_MESSAGE],
            }
        ).encode()
        + b"\n"
        for item in items
    )


def from_lines(content: bytes) -> Iterator[QuarantinedItem]:
    """Decode what `to_lines` wrote; raises `MalformedInput` naming the line."""
    for number, line in enumerate(content.splitlines(), 1):
        try:
            values: dict[str, Any] = json.loads(line)
            values["original"] = base64.b64decode(values["original"], validate=True)
            values["key"] = tuple(values["key"]) if values.get("key") else None
            yield QuarantinedItem(**values)
        except (ValueError, TypeError, KeyError, binascii.Error):
            raise MalformedInput("quarantine_line", f"line {number}") from None


class Quarantine:
    """Writes under `quarantine/<flow>/` of the data bucket."""

    def __init__(self, s3: "S3Client", bucket: str, flow: str) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._flow = flow

    def put(self, name: str, at: datetime, items: Sequence[QuarantinedItem]) -> str:
        """Keep the items under a date-partitioned key and return the key.

        `name` is the position of the batch, `at` its time of arrival. Raises
        `RetryableError` when S3 fails: what is not kept must not be passed over.
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
        """Keep a whole file as it is, with the reason in its metadata."""
        kept = f"quarantine/{self._flow}/date={at:%Y-%m-%d}/hour={at:%H}/{name}.file"
        with answering("quarantine"):
            self._s3.copy_object(
                Bucket=self._bucket,
                Key=kept,
                CopySource={"Bucket": bucket, "Key": key},
                MetadataDirective="REPLACE",
                Metadata={
                    "reason": error.reason,
                    "message": str(error),
                    "position": quote(f"{bucket}/{key}")[:1500],
                },
            )
        return kept
