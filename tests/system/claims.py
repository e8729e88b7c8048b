"""What the suite promises, with the figures of this run: one table at the end.

A test records its claim before it asserts, so that a broken promise shows its figures
too. Tests run in several processes, so a claim travels with the report of its test.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from textwrap import wrap

WIDTH = 100
"""Columns of the terminal that the table is made for."""


@dataclass(frozen=True, slots=True, order=True)
class Claim:
    """One row; every field is text as it is to be read."""

    row: str
    size: str
    faults: str
    claim: str
    result: str


_recorded: list[Claim] = []


def record_claim(*, row: str, size: str, faults: str, claim: str, result: str) -> None:
    """Add a row to the table that ends the run."""
    _recorded.append(Claim(row, size, faults, claim, result))


def take_claims() -> list[Claim]:
    """The claims that were recorded since they were last taken."""
    taken = list(_recorded)
    _recorded.clear()
    return taken


def table(claims: Iterable[Claim]) -> list[str]:
    """The lines of the table, in order of rows: the result, the claim, what was run."""
    return [
        line
        for each in sorted(claims)
        for text in (
            f"{each.row}: {each.result}",
            f"    claim: {each.claim}",
            f"    run: {each.size}; faults: {each.faults}",
        )
        for line in wrap(text, WIDTH, subsequent_indent=" " * 8)
    ]
