"""Writes packed records to the Kinesis stream."""

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from bridge.aws.clients import answering
from bridge.chunking import by_size
from bridge.errors import RetryableError
from bridge.reasons import Reason

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient


RECORDS_PER_CALL = 500
BYTES_PER_CALL = 4_500_000
"""PutRecords' limits are 500 records and 5 MiB, partition keys included."""

TRIES = 5


class Stream:
    """One Kinesis stream."""

    def __init__(
        self,
        kinesis: "KinesisClient",
        name: str,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._kinesis = kinesis
        self._name = name
        self._sleep = sleep

    def put(self, records: Iterable[bytes]) -> None:
        """Store all records; raises `RetryableError` if some are not stored.

        PutRecords may fail for some records only; those are sent again.
        """
        for call in by_size(records, RECORDS_PER_CALL, BYTES_PER_CALL, len):
            self._put(call)

    def _put(self, records: Sequence[bytes]) -> None:
        entries: list[Any] = [
            {"Data": record, "PartitionKey": hashlib.sha256(record).hexdigest()[:32]}
            for record in records
        ]
        for attempt in range(TRIES):
            if attempt:
                self._sleep(0.1 * 2**attempt)
            with answering("stream"):
                answer = self._kinesis.put_records(
                    StreamName=self._name, Records=entries
                )
            results = zip(entries, answer["Records"], strict=True)
            entries = [entry for entry, result in results if result.get("ErrorCode")]
            if not entries:
                return
        raise RetryableError(
            Reason.STREAM_THROTTLED, "Kinesis did not take all records"
        )
