"""Objects of S3, where one that does not exist is an answer and not an error.

All other failures are botocore's own: callers wrap them in `clients.answering`.
"""

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from bridge.aws.clients import error_code

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef


def open_object(
    s3: "S3Client", bucket: str, key: str
) -> "GetObjectOutputTypeDef | None":
    """The object with its `Body` still to be read; None if there is no such key."""
    try:
        return s3.get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error_code(error) != "NoSuchKey":
            raise
    return None


def read_object(s3: "S3Client", bucket: str, key: str) -> bytes | None:
    """The whole content of an object; None if there is no such key."""
    found = open_object(s3, bucket, key)
    return None if found is None else found["Body"].read()
