"""Why the stream waits, as the samples in the quarantine say."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from bridge.quarantine import SAMPLES, from_lines
from cli.stack import RunningStack

STILL_WAITING = timedelta(minutes=15)
"""Each try writes its samples anew, and the next is never so far away."""


def waiting(stack: RunningStack, date: str | None) -> Iterator[tuple[str, bool]]:
    """Each mass rejection in words, and whether the stream still waits for it."""
    s3 = stack.client("s3")
    bucket = stack.resources["DataBucket"]
    prefix = "quarantine/currents/" + (f"date={date}/" if date else "")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    for page in pages:
        for entry in page.get("Contents", ()):
            if entry["Key"].endswith(f"{SAMPLES}.ndjson"):
                content = s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
                summary = next(from_lines(content)).summary
                tried = entry["LastModified"].astimezone(UTC)
                still = datetime.now(UTC) - tried < STILL_WAITING
                verb = "waits" if still else "waited"
                when = f"{tried:%Y-%m-%d %H:%M} UTC"
                where = f"s3://{bucket}/{entry['Key']}"
                said = f"the stream {verb}, last try {when}: {summary}"
                yield f"{said} (samples: {where})", still
