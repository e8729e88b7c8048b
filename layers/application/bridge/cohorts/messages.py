"""What the queue carries of a page: pointers in plain ASCII, never a member.

Messages of one cohort share a FIFO group, so that one writer at a time works on a
cohort and a cohort in trouble holds up no other.
"""

from functools import lru_cache
from typing import Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict

from bridge.cohorts.rules.model import RegisteredPage
from bridge.digest import digest
from bridge.mixpanel.cohort_webhook import Action

MAX_PLACE = 200
"""Characters; a sort key of DynamoDB and a key of S3 have a thousand for all."""


CONFIG = ConfigDict(frozen=True, defer_build=True)
"""A function builds only those that it uses, when it uses them."""


@lru_cache(maxsize=64)
def _place(project: str, cohort: str) -> str:
    """Asked for each of a cohort's members."""
    names = quote(project, safe=""), quote(cohort, safe="")
    text = "#".join(names)
    # A store may take dots for a folder above.
    odd = len(text) > MAX_PLACE or not all(name.strip(".") for name in names)
    return digest(project, cohort) if odd else text


class CohortKey(BaseModel):
    """Which cohort: project and cohort id of Mixpanel."""

    model_config = CONFIG

    project: str
    cohort: str

    @property
    def place(self) -> str:
        """Names the cohort in the keys of stores; a hash where that would be long."""
        return _place(self.project, self.cohort)

    @property
    def group(self) -> str:
        """FIFO group id: any ids, in the 128 characters that SQS allows."""
        return digest(self.project, self.cohort)


class PageMessage(BaseModel):
    """Page `page` of `action` in sync `seq` is registered and waits to be applied.

    With `reassert` its members are pushed even if they are confirmed.
    """

    model_config = CONFIG

    kind: Literal["page"] = "page"
    key: CohortKey
    seq: int
    action: Action
    page: str
    digest: str
    reassert: bool = False

    @property
    def deduplication_id(self) -> str:
        """Covers the content: a restart sends other members under the same numbers."""
        return digest(
            self.key.group, str(self.seq), self.action, self.page, self.digest
        )


def write(message: BaseModel) -> str:
    """Write a message as ASCII: SQS rejects control characters."""
    return message.model_dump_json(ensure_ascii=True)


def message_of(key: CohortKey, seq: int, page: RegisteredPage) -> PageMessage:
    """The message that stands for a page in the queue."""
    return PageMessage(
        key=key, seq=seq, action=page.action, page=page.name, digest=page.digest
    )
