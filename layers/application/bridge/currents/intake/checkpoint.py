"""How far a Currents file has been loaded, stored in S3 until the file is finished."""

import hashlib
from typing import TYPE_CHECKING

from bridge.aws.clients import answering
from bridge.aws.objects import read_object

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class Checkpoint:
    """How many events of one file are in the stream.

    `version` is the file's ETag: a file that was replaced is read from its start. Every
    method raises `RetryableError` when S3 fails.
    """

    def __init__(self, s3: "S3Client", bucket: str, file: str, version: str) -> None:
        self._s3 = s3
        self._bucket = bucket
        name = hashlib.sha256(f"{file} {version}".encode()).hexdigest()[:32]
        self._key = f"progress/currents/{name}"
        self._exists = False

    def read(self) -> int:
        """The number of events to skip; 0 for a file that has no checkpoint."""
        with answering("progress"):
            content = read_object(self._s3, self._bucket, self._key)
        if content is None:
            return 0
        self._exists = True
        return int(content)

    def save(self, position: int) -> None:
        """Store the number; if that fails, events are stored twice but none is lost."""
        with answering("progress"):
            self._s3.put_object(
                Bucket=self._bucket, Key=self._key, Body=str(position).encode()
            )

    def forget(self) -> None:
        """Delete the checkpoint of a finished file, if there was one."""
        if self._exists:
            with answering("progress"):
                self._s3.delete_object(Bucket=self._bucket, Key=self._key)
