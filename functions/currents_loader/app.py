"""Reads Currents' Avro files, as S3 announces them, into the stream.

S3 invokes asynchronously: an exception makes Lambda try again, twice, and then keep the
notification in a queue. The file itself stays in the bucket for a month.
"""

import hashlib
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import unquote_plus

from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import ClientError

from bridge import aws
from bridge.currents.load import load
from bridge.currents.pack import Stream
from bridge.errors import BridgeError, MalformedInput, RetryableError
from bridge.observability import Metric, count, log_fault, logger, metrics
from bridge.quarantine import Quarantine
from bridge.settings import CurrentsLoaderSettings

_GONE = frozenset({"NoSuchKey", "404"})


class Loader:
    """What the function holds between invocations."""

    def __init__(self) -> None:
        settings = CurrentsLoaderSettings.load()
        self.s3 = aws.client("s3")
        self.stream = Stream(aws.client("kinesis"), settings.currents_stream)
        self.quarantine = Quarantine(self.s3, settings.data_bucket, "currents")

    def load(self, bucket: str, key: str, announced: datetime) -> None:
        """Take one file; raises `RetryableError` when it has to be read again."""
        with aws.answering("currents_bucket"):
            try:
                content = self.s3.get_object(Bucket=bucket, Key=key)["Body"]
            except ClientError as error:
                if aws.error_code(error) not in _GONE:
                    raise
                content = None
        if content is None:
            count(Metric.FILES_GONE)
            logger.warning("file is gone", key=key)
            return
        loaded = load(key, content, self.stream)
        count(Metric.FILES_LOADED)
        logger.info("file loaded", key=key, events=loaded.events)
        if loaded.problem:
            self._put_aside(bucket, key, announced, loaded.problem)

    def _put_aside(
        self, bucket: str, key: str, announced: datetime, problem: MalformedInput
    ) -> None:
        name = hashlib.sha256(f"{bucket}/{key}".encode()).hexdigest()[:32]
        kept = self.quarantine.copy(name, announced, bucket, key, problem)
        count(Metric.EVENTS_QUARANTINED)
        logger.error("file put aside", key=key, reason=problem.reason, kept=kept)


loader = cache(Loader)


@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Load the files of one notification; raises so that Lambda tries again."""
    reason = "fault"
    for record in event.get("Records", ()):
        try:
            announced = datetime.fromisoformat(record["eventTime"]).astimezone(UTC)
            place = record["s3"]
            key = unquote_plus(place["object"]["key"])
            loader().load(place["bucket"]["name"], key, announced)
        except BridgeError as error:
            logger.error("file not loaded", reason=error.reason, why=str(error))
            reason = error.reason
        except Exception as error:
            log_fault("file not loaded", error)
        else:
            continue
        count(Metric.FILES_PUT_OFF)
        raise RetryableError(reason, "a file was not loaded")
