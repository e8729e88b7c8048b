"""What is said while the stream waits for a mass rejection, and what there is to see.

A person has to decide, so the log, the metric and the command name what Mixpanel
rejects, and samples of the rejected events stand in the quarantine meanwhile.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from bridge.currents.mapping.catalog import UNKNOWN_TYPE, counted_type
from bridge.errors import RetryableError
from bridge.quarantine import QuarantinedItem
from bridge.reasons import Reason

SAMPLES_OF_A_KIND = 3
MAX_SAMPLES = 20


class Rejections(NamedTuple):
    """The rejections that are most frequent: events of one type, for one property.

    `rejected` of the `attempted` events of that type, in this batch, are such. Nothing
    in it quotes an event: `mixpanel` is its message with every value struck.
    """

    event_type: str
    property: str
    rejected: int
    attempted: int
    mixpanel: str
    records: int

    def __str__(self) -> str:
        of = f"{self.rejected} of {self.attempted} events of {self.event_type}"
        said = f": {self.mixpanel}" if self.mixpanel else ""
        return (
            f"events of {self.records} records are rejected; {of} for "
            f"{self.property}{said}"
        )


class BreakerOpen(RetryableError):
    """Too many records are rejected for the events to be at fault: a person decides.

    `samples` are some of the rejected events, for the quarantine.
    """

    def __init__(
        self, rejections: Rejections, samples: Sequence[QuarantinedItem]
    ) -> None:
        super().__init__(Reason.MASS_REJECTION, str(rejections))
        self.rejections = rejections
        self.samples = samples


def mass_rejection(
    rejected: Iterable[QuarantinedItem], delivered: Counter[str], records: int
) -> BreakerOpen:
    """What to say of these rejected events, of which there is at least one.

    `delivered` counts the batch's other events by type; `records` is the number of
    records that count as rejected.
    """
    from bridge.mixpanel.rejections import plain_field, plain_message

    by_kind: dict[tuple[str, str], list[QuarantinedItem]] = {}
    by_type = Counter[str]()
    for item in rejected:
        by_kind.setdefault((item.kind, item.field), []).append(item)
        by_type[item.kind] += 1
    kinds = sorted(by_kind.values(), key=len, reverse=True)
    (first, *_) = most = kinds[0]
    known = counted_type(first.kind)
    rejections = Rejections(
        first.kind if known != UNKNOWN_TYPE else plain_field(first.kind),
        plain_field(first.field),
        len(most),
        by_type[first.kind] + delivered[known],
        plain_message(first.message, first.field),
        records,
    )
    samples = [item for items in kinds for item in items[:SAMPLES_OF_A_KIND]]
    return BreakerOpen(
        rejections,
        [
            replace(item, reason=Reason.MASS_REJECTION, summary=str(rejections))
            for item in samples[:MAX_SAMPLES]
        ],
    )
