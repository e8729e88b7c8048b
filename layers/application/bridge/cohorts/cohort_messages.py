"""What the queue carries of a whole cohort, and how any message is read."""

from functools import cache
from typing import Annotated, Literal

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from bridge.cohorts.messages import CONFIG, CohortKey, PageMessage
from bridge.digest import digest
from bridge.errors import MalformedInput
from bridge.reasons import Reason


class RescanMessage(BaseModel):
    """Compare all members from `shard` and `after` on with Braze, push what differs.

    With `day` and `days` the members whose turn it is are reasserted. `counts` are
    those of the members so far; the cohort's own had been changed `counted` times.
    """

    model_config = CONFIG

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

    model_config = CONFIG

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

    model_config = CONFIG

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

    model_config = CONFIG

    kind: Literal["retry_rejected"] = "retry_rejected"
    key: CohortKey
    seq: int
    after: str = ""

    @property
    def deduplication_id(self) -> str:
        """One per step of one sync."""
        return digest(self.key.group, "retry_rejected", str(self.seq), self.after)


class CorrectMessage(BaseModel):
    """Bring the members of a stored list to what they should be at Braze.

    An operator has found that Braze holds something else of them than it confirmed;
    `digest` names the list, which is stored as a page is.
    """

    model_config = CONFIG

    kind: Literal["correct"] = "correct"
    key: CohortKey
    digest: str
    at: int

    @property
    def deduplication_id(self) -> str:
        """One per list and order; `at` is the order's time in ms."""
        return digest(self.key.group, "correct", self.digest, str(self.at))


type Message = (
    PageMessage
    | CorrectMessage
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
            | CorrectMessage
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
