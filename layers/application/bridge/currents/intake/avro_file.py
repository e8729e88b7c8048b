"""Load the Avro files of Currents into the stream, in bounded memory and in steps.

An unfinished file resumes from its checkpoint. A file with damage is not tried again:
the events of all its sound blocks are stored, and the file is copied to the quarantine
as it is.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import IO, TYPE_CHECKING, NamedTuple, cast

from bridge.aws.clients import answering
from bridge.aws.objects import open_object
from bridge.currents.decode.avro import MAGIC, DamagedBlocks, read_events, to_json
from bridge.currents.intake.checkpoint import Checkpoint
from bridge.currents.stream.kinesis import Stream
from bridge.currents.stream.pack import chunks, records_of, too_large
from bridge.errors import MalformedInput, RetryableError
from bridge.observability import Metric, count, logger
from bridge.quarantine import Quarantine, QuarantinedItem
from bridge.reasons import Reason

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(slots=True)
class Loaded:
    """How much of a file has been loaded.

    `position` counts the events that are safe, from which a later run resumes.
    `too_large` are events that fit into no stream record; `problem` is why the rest of
    the file cannot be read.
    """

    position: int = 0
    finished: bool = False
    too_large: list[bytes] = field(default_factory=list)
    problem: MalformedInput | None = None


def load(
    key: str,
    content: IO[bytes],
    stream: Stream,
    loaded: Loaded,
    is_late: Callable[[], bool] = lambda: False,
) -> None:
    """Store the events of an open file from `loaded.position` on, until it is late.

    Raises `RetryableError` when some are not safe; `loaded` says which are. The same
    file makes the same records, wherever an earlier run stopped.
    """
    # Lazily: one record is packed and sent at a time, however long the file is.
    for chunk in chunks(_events(key, content, loaded)):
        for record in records_of(chunk, loaded.too_large.append):
            stream.put([record])
        loaded.position += len(chunk)
        if is_late():
            return
    loaded.finished = True


def _events(key: str, content: IO[bytes], loaded: Loaded) -> Iterator[bytes]:
    """The events as flat JSON, up to the end of the file or the damage."""
    try:
        for event in islice(read_events(key, content), loaded.position, None):
            yield to_json(event)
    except MalformedInput as error:
        loaded.problem = error


class AnnouncedFile(NamedTuple):
    """A file as S3 announced it."""

    bucket: str
    key: str
    announced: datetime

    @property
    def path(self) -> str:
        """Bucket and key."""
        return f"{self.bucket}/{self.key}"


class FileLoader:
    """Loads announced files; checkpoints and the quarantine are in the data bucket."""

    def __init__(
        self, s3: "S3Client", data_bucket: str, stream: Stream, quarantine: Quarantine
    ) -> None:
        self.stream = stream
        self._s3 = s3
        self._data_bucket = data_bucket
        self._quarantine = quarantine

    def load(self, file: AnnouncedFile, is_late: Callable[[], bool]) -> None:
        """Load one file, from its checkpoint if it has one.

        Raises `RetryableError` when the file is unfinished and has to be resumed, and
        whatever stopped the loading. A file that no longer exists is skipped, and so is
        one that is no Avro by its name and its content.
        """
        if not file.key.endswith(".avro") and not self._is_avro(file):
            count(Metric.FILES_IGNORED)
            logger.warning("file ignored", key=file.key)
            return
        with answering("currents_bucket"):
            found = open_object(self._s3, file.bucket, file.key)
        if found is None:
            count(Metric.FILES_GONE)
            logger.warning("file is gone", key=file.key)
            return
        checkpoint = Checkpoint(self._s3, self._data_bucket, file.path, found["ETag"])
        content = cast("IO[bytes]", found["Body"])
        loaded = Loaded(checkpoint.read())
        failure: Exception | None = None
        try:
            load(file.key, content, self.stream, loaded, is_late)
        except Exception as error:  # noqa: BLE001 - raised below, once all is stored
            failure = error
        self._write_quarantine(file, loaded)
        if not loaded.finished:
            checkpoint.save(loaded.position)
            logger.info("file loaded in part", key=file.key, events=loaded.position)
            late = RetryableError(Reason.OUT_OF_TIME, "the next run resumes the file")
            raise failure or late
        checkpoint.forget()
        count(Metric.FILES_LOADED)
        logger.info("file loaded", key=file.key, events=loaded.position)

    def _is_avro(self, file: AnnouncedFile) -> bool:
        """Whether a file whose name does not say so holds Avro."""
        with answering("currents_bucket"):
            found = open_object(self._s3, file.bucket, file.key)
            return found is None or found["Body"].read(len(MAGIC)) == MAGIC

    def _write_quarantine(self, file: AnnouncedFile, loaded: Loaded) -> None:
        name = hashlib.sha256(file.path.encode()).hexdigest()[:32]
        reason = too_large()
        for event in loaded.too_large:
            item = QuarantinedItem(event, reason.reason, "", str(reason), file.key)
            # The event's own digest: a file that is read twice writes the same object.
            part = hashlib.sha256(event).hexdigest()[:16]
            self._quarantine.put(f"{name}-{part}", file.announced, [item])
            count(Metric.EVENTS_QUARANTINED)
        if loaded.problem:
            key = self._quarantine.copy(
                name, file.announced, file.bucket, file.key, loaded.problem
            )
            count(Metric.EVENTS_QUARANTINED)
            if isinstance(loaded.problem, DamagedBlocks):
                count(Metric.BLOCKS_DAMAGED, loaded.problem.blocks)
            logger.error(
                "file quarantined",
                key=file.key,
                reason=loaded.problem.reason,
                why=str(loaded.problem),
                quarantine=key,
            )
