"""The event source mapping between a Kinesis stream and a function.

A shard has one position. It moves past what succeeded and stays at the lowest failure,
until retries or age are used up: then the records go to the on-failure destination, and
it moves on.
"""

import hashlib
import logging
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sandbox.cloudformation.settings import KinesisSource
from sandbox.event_sources.batch_response import CompleteFailure, failed_identifiers
from sandbox.event_sources.kinesis_records import (
    ShardRecord,
    batch_info,
    encoded_event,
    shard_record,
)
from sandbox.lambda_runtime.destinations import Destinations, service, timestamp
from sandbox.lambda_runtime.invocation import (
    SYNCHRONOUS_PAYLOAD_LIMIT,
    Invocation,
    Invoke,
    Throttled,
)

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """How long the mapping waits: between polls, and between tries of a batch.

    AWS polls once a second and does not publish its back-off; `clock` gives the time
    that record ages are measured by.
    """

    poll: float = 0.1
    first_retry: float = 0.2
    longest_retry: float = 5.0
    clock: Callable[[], float] = time.time


@dataclass(frozen=True, slots=True)
class _Wiring:
    """What all readers of a mapping share."""

    source: KinesisSource
    client: Any
    invoke: Invoke
    function_arn: str
    destinations: Destinations
    pace: Pace
    stopping: threading.Event
    mapping_id: str = field(default_factory=lambda: str(uuid.uuid4()))


class KinesisMapping:
    """Reads every shard of one stream, each in a thread of its own."""

    def __init__(
        self,
        source: KinesisSource,
        client: Any,
        invoke: Invoke,
        function_arn: str,
        destinations: Destinations,
        pace: Pace | None = None,
    ) -> None:
        destinations.check(source.on_failure)
        name = source.stream_arn.rpartition("/")[2]
        shards = client.list_shards(StreamName=name)["Shards"]
        self._stopping = threading.Event()
        wiring = _Wiring(
            source,
            client,
            invoke,
            function_arn,
            destinations,
            pace or Pace(),
            self._stopping,
        )
        self.uuid = wiring.mapping_id
        # With a ParallelizationFactor each reader reads the whole shard and takes the
        # partition keys of its share, so that order by key holds.
        self._readers = [
            _Reader(wiring, shard["ShardId"], share)
            for shard in shards
            for share in range(source.parallelization)
        ]

    def start(self) -> None:
        for reader in self._readers:
            reader.start()

    def stop(self) -> None:
        """Return when nothing reads any more; batches under way must end first."""
        self._stopping.set()
        for reader in self._readers:
            reader.join()

    def idle(self) -> bool:
        """Whether every record of the stream has been passed."""
        return all(reader.idle() for reader in self._readers)


class _Reader(threading.Thread):
    """Reads one share of one shard."""

    def __init__(self, wiring: _Wiring, shard_id: str, share: int) -> None:
        super().__init__(name=f"kinesis-mapping-{shard_id}-{share}", daemon=True)
        self._wiring = wiring
        self._source = wiring.source
        self._client = wiring.client
        self._pace = wiring.pace
        self._stopping = wiring.stopping
        self._shard_id = shard_id
        self._share = share
        # Taken now: a record put after start() must not be missed under LATEST.
        self._iterator = wiring.client.get_shard_iterator(
            StreamName=wiring.source.stream_arn.rpartition("/")[2],
            ShardId=shard_id,
            ShardIteratorType=wiring.source.starting_position,
        )["ShardIterator"]
        self._read: list[ShardRecord] = []
        self._busy = False

    def idle(self) -> bool:
        if self._busy or self._read:
            return False
        iterator = self._iterator
        ahead = self._client.get_records(ShardIterator=iterator, Limit=1)["Records"]
        return not ahead and not self._busy and iterator == self._iterator

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                if batch := self._next_batch():
                    self._process(batch)
            except (BotoCoreError, ClientError):
                if not self._stopping.wait(0.5):
                    _logger.warning("cannot read %s", self._shard_id, exc_info=True)
            finally:
                self._busy = False

    def _next_batch(self) -> list[ShardRecord]:
        """A full batch, 6 MB, or what came within the batching window."""
        until: float | None = None
        while not self._stopping.is_set():
            self._fetch()
            taken = self._fitting()
            full = len(taken) == self._source.batch_size or len(taken) < len(self._read)
            if taken and until is None:
                until = time.monotonic() + self._source.window
            if taken and (full or (until is not None and time.monotonic() >= until)):
                self._read = self._read[len(taken) :]
                return taken
            self._busy = bool(taken)
            self._stopping.wait(self._pace.poll)
        return []

    def _fetch(self) -> None:
        missing = self._source.batch_size - len(self._read)
        if missing <= 0:
            return
        self._busy = True
        answer = self._client.get_records(
            ShardIterator=self._iterator, Limit=min(missing, 10_000)
        )
        for record in answer["Records"]:
            if self._share_of(record["PartitionKey"]) == self._share:
                self._read.append(
                    shard_record(record, self._shard_id, self._source.stream_arn)
                )
        self._iterator = answer["NextShardIterator"]

    def _share_of(self, partition_key: str) -> int:
        if self._source.parallelization == 1:
            return 0
        digest = hashlib.sha256(partition_key.encode()).digest()
        return digest[0] % self._source.parallelization

    def _fitting(self) -> list[ShardRecord]:
        size = len(encoded_event([]))
        for count, record in enumerate(self._read[: self._source.batch_size]):
            size += len(record.encoded) + 2
            if count and size > SYNCHRONOUS_PAYLOAD_LIMIT:
                return self._read[:count]
        return self._read[: self._source.batch_size]

    def _process(self, records: list[ShardRecord], tries: int = 0) -> None:
        """Invoke until each record succeeded or is discarded, or the mapping stops."""
        wait = self._pace.first_retry
        last: Invocation | None = None
        while records and not self._stopping.is_set():
            records = self._discard_aged(records, tries, last)
            if not records:
                return
            try:
                last = self._wiring.invoke(encoded_event(records))
            except Throttled:
                wait = self._back_off(wait)
                continue
            tries += 1
            passed = self._passed(records, last)
            if passed is None and self._source.bisect and len(records) > 1:
                # "Splitting batches doesn't consume the retry quota."
                half = len(records) // 2
                self._process(records[:half], tries - 1)
                records, tries = records[half:], tries - 1
                continue
            if passed:
                # The checkpoint moved: what is left is another batch.
                records, tries, wait = records[passed:], 0, self._pace.first_retry
                continue
            if 0 <= self._source.retries < tries:
                self._discard(records, "RetryAttemptsExhausted", tries, last)
                return
            wait = self._back_off(wait)

    def _passed(self, records: Sequence[ShardRecord], last: Invocation) -> int | None:
        """How many records from the start succeeded; None if the whole batch failed."""
        order = [record.sequence_number for record in records]
        try:
            failed = failed_identifiers(
                last, order, reports=self._source.report_failures
            )
        except CompleteFailure:
            return None
        return min(map(order.index, failed), default=len(order))

    def _back_off(self, wait: float) -> float:
        self._stopping.wait(wait)
        return min(wait * 2, self._pace.longest_retry)

    def _discard_aged(
        self, records: list[ShardRecord], tries: int, last: Invocation | None
    ) -> list[ShardRecord]:
        if self._source.maximum_age < 0:
            return records
        oldest = self._pace.clock() - self._source.maximum_age
        aged = [record for record in records if record.arrival < oldest]
        if aged:
            self._discard(aged, "RecordAgeExceeded", tries, last)
        return [record for record in records if record.arrival >= oldest]

    def _discard(
        self,
        records: Sequence[ShardRecord],
        condition: str,
        tries: int,
        last: Invocation | None,
    ) -> None:
        if self._source.on_failure is None:
            return
        request_id = last.request_id if last else str(uuid.uuid4())
        record: dict[str, Any] = {
            "requestContext": {
                "requestId": request_id,
                "functionArn": self._wiring.function_arn,
                "condition": condition,
                "approximateInvokeCount": tries,
            },
            "responseContext": {
                "statusCode": 200,
                "executedVersion": "$LATEST",
                "functionError": last.function_error if last else None,
            },
            "version": "1.0",
            "timestamp": timestamp(time.time()),
            "KinesisBatchInfo": batch_info(
                records, self._shard_id, self._source.stream_arn
            ),
        }
        # Only a bucket gets the records, as a string that holds the whole event; a
        # queue gets what is needed to find them.
        if service(self._source.on_failure) == "s3":
            record["payload"] = encoded_event(records).decode()
        folder = f"aws/lambda/{self._wiring.mapping_id}/{self._shard_id}"
        self._wiring.destinations.send(self._source.on_failure, record, folder)
