"""What became of a member in a sync, as its report has it (pure)."""

from enum import StrEnum
from typing import NamedTuple

from bridge.cohorts.rules.counts import IN, REJECTED, counted_as
from bridge.cohorts.rules.membership import Member


class Outcome(StrEnum):
    """What became of a member or a profile."""

    ADDED = "added"
    REMOVED = "removed"
    NO_OP = "no-op"
    SKIPPED = "skipped"
    REJECTED = "rejected"


class ReportRow(NamedTuple):
    """One line of a sync's report.

    `key` is the ledger's key of the identifier, empty where the profile has none;
    `reason` says why it was skipped or rejected.
    """

    key: str
    distinct_id: str
    outcome: Outcome
    reason: str = ""


def outcome_of(before: Member, after: Member, since: int) -> tuple[Outcome, str]:
    """What a sync that began at `since` (ms) brought about for a member.

    A member who was written since then, but not just now, was written for the same sync
    by a process that did not live to report it.
    """
    name = counted_as(after)
    if name.startswith(REJECTED):
        return Outcome.REJECTED, name.removeprefix(REJECTED)
    held = before.confirmed_at(after.destination)
    is_reasserted = held is after.confirmed and before != after
    if after.pushed_at < since or is_reasserted:
        return Outcome.NO_OP, ""
    return (Outcome.ADDED if name == IN else Outcome.REMOVED), ""
