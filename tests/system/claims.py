"""What the system suite promises, with the figures of this run: one table at the end.

A test records its row before it asserts, so that a broken promise shows its figure too.
"""

from dataclasses import astuple, dataclass, fields


@dataclass(frozen=True, slots=True)
class Claim:
    """One row; every column is text as it is to be read."""

    row: str
    size: str
    faults: str
    claim: str
    result: str


_recorded: list[Claim] = []


def record_claim(*, row: str, size: str, faults: str, claim: str, result: str) -> None:
    """Add a row to the table that ends the run."""
    _recorded.append(Claim(row, size, faults, claim, result))


def table() -> list[str]:
    """The lines of the table, in order of rows; none where nothing was recorded."""
    if not _recorded:
        return []
    heading = tuple(field.name for field in fields(Claim))
    rows = [heading, *sorted(map(astuple, _recorded))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, tuple("-" * width for width in widths))
    return [
        "  ".join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]
