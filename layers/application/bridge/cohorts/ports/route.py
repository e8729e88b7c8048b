"""The way into Braze: changes go out, and what became of each comes back."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from bridge.cohorts.rules.identifiers import Identifier
from bridge.errors import RetryableError

type Members = Sequence[tuple[Identifier, str]]
"""Identifiers that are in a cohort, each with the profile a device was written by."""


def _nobody(_: Sequence[Identifier]) -> Members:
    return ()


class Change(NamedTuple):
    """A user who joins the cohort, or leaves it.

    `braze_id` is the profile that a device was written by before, if it was.
    `members_of` says which of several identifiers are in the same cohort.
    """

    identifier: Identifier
    present: bool
    braze_id: str = ""
    members_of: Callable[[Sequence[Identifier]], Members] = _nobody


class Pushed(NamedTuple):
    """What became of a change: done, or the reason for which it was rejected.

    `braze_id` is the profile that a device was written by.
    """

    reason: str | None = None
    braze_id: str = ""


class PushInterrupted(RetryableError):
    """A push that has to be continued later.

    `pushed` is what became of the first changes; the others were not begun.
    """

    def __init__(self, cause: RetryableError, pushed: Sequence[Pushed]) -> None:
        super().__init__(cause.reason, str(cause), retry_after=cause.retry_after)
        self.pushed = pushed


class Route(Protocol):
    """One of the ways in which membership is written to Braze."""

    @property
    def step(self) -> int:
        """How many changes make a push of full calls."""

    def destination(self) -> str:
        """Fingerprint of where pushes go; another destination holds none of them."""

    def name(self, cohort: str, name: str) -> None:
        """Publish the cohort's name; raises `Rejected` where Braze does not take it."""

    def push(
        self, cohort: str, name: str, changes: Sequence[Change]
    ) -> Sequence[Pushed]:
        """Write the changes; what became of each, in order.

        Raises `PushInterrupted` where only some were written, `RetryableError` where it
        is not known what was.
        """
