"""Loads the Avro files of Currents, as S3 announces them, into the stream.

S3 invokes asynchronously: when the function raises, Lambda tries again, twice, and then
moves the notification to a queue. The file itself stays in the bucket for a month. A
backfill invokes it for one file of the history, and tries again by itself.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import unquote_plus

from aws_lambda_powertools.utilities.typing import LambdaContext

from bridge.aws import clients
from bridge.currents.intake.avro_file import AnnouncedFile, FileLoader
from bridge.currents.stream.kinesis import Stream
from bridge.errors import BridgeError, RetryableError
from bridge.observability import Metric, count, log_fault, logger, observed
from bridge.quarantine import Quarantine
from bridge.settings import CurrentsLoaderSettings

SECONDS_FOR_CHUNK = 60
"""Left when a chunk begins: time to store it, retries included, and a checkpoint."""


@cache
def loader() -> FileLoader:
    """What the function holds between invocations."""
    settings = CurrentsLoaderSettings.load()
    s3 = clients.create("s3")
    return FileLoader(
        s3,
        settings.data_bucket,
        Stream(clients.create("kinesis"), settings.currents_stream),
        Quarantine(s3, settings.data_bucket, "currents"),
    )


def _files(event: dict[str, Any]) -> Iterator[AnnouncedFile]:
    """The files of a notification, or that of a backfill, whose key is not encoded."""
    if "backfill" in event:
        file = event["backfill"]
        yield AnnouncedFile(file["bucket"], file["key"], datetime.now(UTC))
    for record in event.get("Records", ()):
        yield _announced(record)


def _announced(record: dict[str, Any]) -> AnnouncedFile:
    """Source: Amazon S3, "Event message structure": keys are URL-encoded."""
    return AnnouncedFile(
        bucket=record["s3"]["bucket"]["name"],
        key=unquote_plus(record["s3"]["object"]["key"]),
        announced=datetime.fromisoformat(record["eventTime"]).astimezone(UTC),
    )


@observed
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Load the files of one notification; raises so that Lambda tries again."""
    reason = "fault"

    def is_late() -> bool:
        return context.get_remaining_time_in_millis() < SECONDS_FOR_CHUNK * 1000

    for file in _files(event):
        try:
            loader().load(file, is_late)
        except BridgeError as error:
            logger.error("file not loaded", reason=error.reason, why=str(error))
            reason = error.reason
        except Exception as error:
            log_fault("file not loaded", error)
        else:
            continue
        count(Metric.FILES_DEFERRED)
        raise RetryableError(reason, "a file was not loaded")
