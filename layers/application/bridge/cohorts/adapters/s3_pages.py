"""The pages of cohort syncs in S3, one object a page."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bridge.aws.clients import answering
from bridge.aws.objects import read_object
from bridge.cohorts.messages import CohortKey
from bridge.cohorts.pages import Listed, read_page
from bridge.errors import PermanentError
from bridge.reasons import Reason

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class S3PageStore:
    """Implements `ports.PageStore` under `pages/` of the data bucket."""

    def __init__(self, s3: "S3Client", bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    def put(self, key: CohortKey, digest: str, content: bytes) -> None:
        """See `ports.PageStore.put`."""
        with answering("page_store"):
            self._s3.put_object(
                Bucket=self._bucket, Key=_path(key, digest), Body=content
            )

    def get(self, key: CohortKey, digest: str) -> Sequence[Listed]:
        """See `ports.PageStore.get`."""
        with answering("page_store"):
            content = read_object(self._s3, self._bucket, _path(key, digest))
        if content is None:
            raise PermanentError(
                Reason.PAGE_EXPIRED, "the members of the page are gone"
            )
        return read_page(content)


def _path(key: CohortKey, digest: str) -> str:
    return f"pages/{key.place.replace('#', '/')}/{digest}.json"
