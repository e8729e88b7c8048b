"""Why the stream waits, as the samples in the quarantine say; and what else is kept."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from bridge.quarantine import SAMPLES, from_lines
from cli.quarantined import objects
from cli.replay_places import GIVEN_UP
from cli.stack import RunningStack

STILL_WAITING = timedelta(minutes=15)
"""Each try writes its samples anew, and the next is never so far away."""


def kept_objects(stack: RunningStack) -> Counter[str]:
    """How many objects `replay` would find beside the items of the quarantine."""
    s3, bucket = stack.client("s3"), stack.resources["DataBucket"]
    files = [
        entry
        for entry in objects(s3, bucket, "quarantine/currents/")
        if entry["Key"].endswith(".file")
    ]
    batches = list(objects(s3, bucket, GIVEN_UP))
    return +Counter(
        {
            "files quarantined in currents": len(files),
            "batches that Kinesis gave up": len(batches),
        }
    )


def waiting(stack: RunningStack, date: str | None) -> Iterator[tuple[str, bool]]:
    """Each mass rejection in words, and whether the stream still waits for it."""
    s3, bucket = stack.client("s3"), stack.resources["DataBucket"]
    prefix = "quarantine/currents/" + (f"date={date}/" if date else "")
    for entry in objects(s3, bucket, prefix):
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
