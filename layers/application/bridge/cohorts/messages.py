"""What the queue carries: pointers in plain ASCII, never a member.

Messages of one cohort share a FIFO group, so that one writer at a time works on a
cohort and a cohort in trouble holds up no other.
"""

from functools import cache
from typing import Annotated, Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from bridge.cohorts.rules.model import RegisteredPage
from bridge.digest import digest
from bridge.errors import MalformedInput
from bridge.mixpanel.cohort_webhook import Action
from bridge.reasons import Reason

MAX_PLACE = 200
"""Characters; a sort key of DynamoDB and a key of S3 have a thousand for all."""


_CONFIG = ConfigDict(frozen=True, defer_build=True)
"""A function builds only those that it uses, when it uses them."""


class CohortKey(BaseModel):
    """Which cohort: project and cohort id of Mixpanel."""

    model_config = _CONFIG

    project: str
    cohort: str

    @property
    def place(self) -> str:
        """Names the cohort in the keys of stores; a hash where that would be long."""
        names = quote(self.project, safe=""), quote(self.cohort, safe="")
        text = "#".join(names)
        # A store may take dots for a folder above.
        odd = len(text) > MAX_PLACE or not all(name.strip(".") for name in names)
        return self.group if odd else text

    @property
    def group(self) -> str:
        """FIFO group id: any ids, in the 128 characters that SQS allows."""
        return digest(self.project, self.cohort)


class PageMessage(BaseModel):
    """Page `page` of `action` in sync `seq` is registered and waits to be applied.

    With `reassert` its members are pushed even if they are confirmed.
    """

    model_config = _CONFIG

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


class RescanMessage(BaseModel):
    """Compare all members from `shard` and `after` on with Braze, push what differs.

    With `day` and `days` the members whose turn it is are reasserted. `counts` are
    those of the members so far; the cohort's own had been changed `counted` times.
    """

    model_config = _CONFIG

    kind: Literal["rescan"] = "rescan"
    key: CohortKey
    baseline: int = 0
    aborted: tuple[int, ...] = ()
    day: int = 0
    days: int = 0
    destination: str = ""
    shard: int = 0
    after: str = ""
    counts: dict[str, int] = {}
    counted: int | None = None

    @property
    def deduplication_id(self) -> str:
        """One per step of one rescan."""
        cause = (
            f"{self.baseline} {self.aborted} {self.day} {self.days} {self.destination}"
        )
        return digest(self.key.group, "rescan", cause, str(self.shard), self.after)


class MeasureRemovalMessage(BaseModel):
    """Count who stays and who leaves if full sync `seq` becomes the baseline."""

    model_config = _CONFIG

    kind: Literal["measure_removal"] = "measure_removal"
    key: CohortKey
    seq: int
    stay: int = 0
    leave: int = 0
    shard: int = 0
    after: str = ""

    @property
    def deduplication_id(self) -> str:
        """One per step of one measurement."""
        step = str(self.shard), self.after
        return digest(self.key.group, "measure_removal", str(self.seq), *step)


class ReleaseMessage(BaseModel):
    """An operator takes sync `seq` for the full list: its removal was held, say."""

    model_config = _CONFIG

    kind: Literal["release"] = "release"
    key: CohortKey
    seq: int

    @property
    def deduplication_id(self) -> str:
        """One per sync: releasing it twice changes nothing."""
        return digest(self.key.group, "release", str(self.seq))


class RetryRejectedMessage(BaseModel):
    """Push again, from `after` on, whom Braze rejected for a passing reason.

    That is, those who were rejected before sync `seq`.
    """

    model_config = _CONFIG

    kind: Literal["retry_rejected"] = "retry_rejected"
    key: CohortKey
    seq: int
    after: str = ""

    @property
    def deduplication_id(self) -> str:
        """One per step of one sync."""
        return digest(self.key.group, "retry_rejected", str(self.seq), self.after)


type Message = (
    PageMessage
    | RescanMessage
    | MeasureRemovalMessage
    | ReleaseMessage
    | RetryRejectedMessage
)


@cache
def _adapter() -> TypeAdapter[Message]:
    """Reads any of them; built by the consumer alone, for it takes a while."""
    return TypeAdapter(
        Annotated[
            PageMessage
            | RescanMessage
            | MeasureRemovalMessage
            | ReleaseMessage
            | RetryRejectedMessage,
            Field(discriminator="kind"),
        ]
    )


def read(text: str) -> Message:
    """Read a message; raises `MalformedInput`."""
    try:
        return _adapter().validate_json(text)
    except ValidationError:
        raise MalformedInput(Reason.MESSAGE, "the message is not one of ours") from None


def write(message: Message) -> str:
    """Write a message as ASCII: SQS rejects control characters."""
    return message.model_dump_json(ensure_ascii=True)


def message_of(key: CohortKey, seq: int, page: RegisteredPage) -> PageMessage:
    """The message that stands for a page in the queue."""
    return PageMessage(
        key=key, seq=seq, action=page.action, page=page.name, digest=page.digest
    )
