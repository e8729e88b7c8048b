"""The way into Braze: changes go out, and what became of each comes back."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from bridge.cohorts.rules.identifiers import Identifier

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


type Conclude = Callable[[Mapping[int, Pushed]], None]
"""Called, in any thread, as soon as it is known what became of some changes.

They are given by their positions.
"""


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
        self,
        cohort: str,
        name: str,
        changes: Sequence[Change],
        conclude: Conclude,
    ) -> None:
        """Write the changes, in several calls at a time; no two are of one user.

        Raises `RetryableError` where not all were written, once no call is under way
        any more; of those that `conclude` was not called for nothing is known.
        """
