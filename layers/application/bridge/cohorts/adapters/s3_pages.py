"""The pages of cohort syncs in S3, one object a page."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, override

from bridge.aws.clients import answering
from bridge.aws.objects import read_object
from bridge.cohorts.messages import CohortKey
from bridge.cohorts.pages import Listed, read_page
from bridge.cohorts.ports.page_store import PageStore
from bridge.errors import PermanentError
from bridge.reasons import Reason

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class S3PageStore(PageStore):
    """Stores pages under `pages/` of the data bucket."""

    def __init__(self, s3: "S3Client", bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    @override
    def put(self, key: CohortKey, digest: str, content: bytes) -> None:
        with answering("page_store"):
            self._s3.put_object(
                Bucket=self._bucket, Key=_path(key, digest), Body=content
            )

    @override
    def get(self, key: CohortKey, digest: str) -> Sequence[Listed]:
        with answering("page_store"):
            content = read_object(self._s3, self._bucket, _path(key, digest))
        if content is None:
            raise PermanentError(
                Reason.PAGE_EXPIRED, "the members of the page are gone"
            )
        return read_page(content)


def _path(key: CohortKey, digest: str) -> str:
    return f"pages/{key.place.replace('#', '/')}/{digest}.json"
