"""Reads Currents' Avro files, as S3 announces them, into the stream.

S3 invokes asynchronously: an exception makes Lambda try again, twice, and then keep the
notification in a queue. The file itself stays in the bucket for a month. A file that is
not done in time is gone on with where it stands: docs/decisions/.
"""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import unquote_plus

from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import ClientError

from bridge.aws import clients
from bridge.currents.intake.avro_file import Loaded, load
from bridge.currents.intake.checkpoint import Progress
from bridge.currents.stream.kinesis import Stream
from bridge.currents.stream.pack import too_large
from bridge.errors import BridgeError, RetryableError
from bridge.observability import Metric, count, log_fault, logger, metrics
from bridge.quarantine import Quarantine, QuarantinedItem
from bridge.settings import CurrentsLoaderSettings

MARGIN_SECONDS = 60
"""A record that the stream does not take at once may need as long."""

_GONE = frozenset({"NoSuchKey", "404"})


class Loader:
    """What the function holds between invocations."""

    def __init__(self) -> None:
        settings = CurrentsLoaderSettings.load()
        self.s3 = clients.create("s3")
        self.data_bucket = settings.data_bucket
        self.stream = Stream(clients.create("kinesis"), settings.currents_stream)
        self.quarantine = Quarantine(self.s3, settings.data_bucket, "currents")

    def load(
        self, bucket: str, key: str, announced: datetime, is_late: Callable[[], bool]
    ) -> None:
        """Take one file; raises `RetryableError` when it has to be gone on with."""
        with clients.answering("currents_bucket"):
            try:
                found = self.s3.get_object(Bucket=bucket, Key=key)
            except ClientError as error:
                if clients.error_code(error) not in _GONE:
                    raise
                found = None
        if found is None:
            count(Metric.FILES_GONE)
            logger.warning("file is gone", key=key)
            return
        progress = Progress(self.s3, self.data_bucket, f"{bucket}/{key}", found["ETag"])
        start = progress.read()
        loaded = Loaded(start)
        failure: Exception | None = None
        try:
            load(key, found["Body"], self.stream, loaded, is_late)
        except Exception as error:
            failure = error
        self._quarantine(bucket, key, announced, loaded)
        if not loaded.finished:
            progress.save(loaded.position)
            logger.info("file loaded in part", key=key, events=loaded.position)
            late = RetryableError("out_of_time", "the rest follows in the next run")
            raise failure or late
        progress.forget()
        count(Metric.FILES_LOADED)
        logger.info("file loaded", key=key, events=loaded.position)

    def _quarantine(
        self, bucket: str, key: str, announced: datetime, loaded: Loaded
    ) -> None:
        name = hashlib.sha256(f"{bucket}/{key}".encode()).hexdigest()[:32]
        problem = too_large()
        for event in loaded.too_large:
            item = QuarantinedItem(event, problem.reason, "", str(problem), key)
            # One name for one event, however often the file is read.
            part = hashlib.sha256(event).hexdigest()[:16]
            self.quarantine.put(f"{name}-{part}", announced, [item])
            count(Metric.EVENTS_QUARANTINED)
        if loaded.problem:
            kept = self.quarantine.copy(name, announced, bucket, key, loaded.problem)
            count(Metric.EVENTS_QUARANTINED)
            logger.error(
                "file put aside", key=key, reason=loaded.problem.reason, kept=kept
            )


loader = cache(Loader)


@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Load the files of one notification; raises so that Lambda tries again."""
    reason = "fault"

    def is_late() -> bool:
        return context.get_remaining_time_in_millis() < MARGIN_SECONDS * 1000

    for record in event.get("Records", ()):
        try:
            announced = datetime.fromisoformat(record["eventTime"]).astimezone(UTC)
            place = record["s3"]
            key = unquote_plus(place["object"]["key"])
            loader().load(place["bucket"]["name"], key, announced, is_late)
        except BridgeError as error:
            logger.error("file not loaded", reason=error.reason, why=str(error))
            reason = error.reason
        except Exception as error:
            log_fault("file not loaded", error)
        else:
            continue
        count(Metric.FILES_DEFERRED)
        raise RetryableError(reason, "a file was not loaded")
