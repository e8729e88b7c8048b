"""How far a Currents file is loaded, kept beside the quarantine until it is done."""

import hashlib
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from bridge.aws.clients import answering, error_code

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class Progress:
    """The number of events of one file that are in the stream.

    `version` is the file's ETag: a file that was replaced is read from its start.
    """

    def __init__(self, s3: "S3Client", bucket: str, file: str, version: str) -> None:
        self._s3 = s3
        self._bucket = bucket
        name = hashlib.sha256(f"{file} {version}".encode()).hexdigest()[:32]
        self._key = f"progress/currents/{name}"
        self._is_kept = False

    def read(self) -> int:
        """Where to go on; 0 for a file that is new. Raises `RetryableError`."""
        with answering("progress"):
            try:
                found = self._s3.get_object(Bucket=self._bucket, Key=self._key)
                self._is_kept = True
                return int(found["Body"].read())
            except ClientError as error:
                if error_code(error) != "NoSuchKey":
                    raise
        return 0

    def save(self, position: int) -> None:
        """Raises `RetryableError`: then what is stored is only stored again."""
        with answering("progress"):
            self._s3.put_object(
                Bucket=self._bucket, Key=self._key, Body=str(position).encode()
            )

    def forget(self) -> None:
        """The file is done."""
        if self._is_kept:
            with answering("progress"):
                self._s3.delete_object(Bucket=self._bucket, Key=self._key)
