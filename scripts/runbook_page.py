"""Write the tables of reasons in docs/runbook.md from `bridge.reasons`.

`--check` fails where they are not current. Run by `make docs` and `make check`. The
rest of the page is written by hand; each table stands between two comments.
"""

import ast
import re
import sys
from enum import StrEnum
from functools import cache
from itertools import pairwise
from pathlib import Path

from bridge import reasons
from bridge.reasons import Reason, ReasonPattern
from scripts.pages import write_or_check


class Consequence(StrEnum):
    """What becomes of the item; the value is its name on the page and in the code."""

    PAGE_REFUSED = "page refused"
    MEMBER_SKIPPED = "member skipped"
    MEMBER_REJECTED = "member not pushed"
    MESSAGE_QUARANTINED = "message quarantined"
    EVENT_FILTERED = "event filtered"
    EVENT_QUARANTINED = "event quarantined"
    DEFERRED = "deferred"
    COMMAND_FAILED = "command failed"
    INTERNAL = "internal"
    """Handled where it arises: no log, metric or store shows it."""


PAGE = Path(__file__).parents[1] / "docs" / "runbook.md"

_TABLE = re.compile(
    r"(?P<begin><!-- reasons: (?P<consequence>[a-z ]+) -->\n)"
    r".*?"
    r"(?P<end><!-- end of reasons -->\n)",
    re.DOTALL,
)


type Explanations = dict[Reason | ReasonPattern, dict[Consequence, str]]
"""What happened, and what to do, by reason and by what becomes of the item."""


@cache
def explanations() -> Explanations:
    """What stands below each reason in the code.

    Raises `ValueError` for a reason without a sentence or a consequence that is none.
    """
    tree = ast.parse(Path(reasons.__file__).read_text())
    classes = {n.name: n for n in tree.body if isinstance(n, ast.ClassDef)}
    found: Explanations = {}
    for enum in (Reason, ReasonPattern):
        below = _below_each(classes[enum.__name__])
        for reason in enum:
            lines = below.get(reason.name, "").splitlines()
            sentences = dict(
                line.strip().split(": ", 1) for line in lines if line.strip()
            )
            if not sentences:
                raise ValueError(f"nothing explains {reason}")
            found[reason] = {
                Consequence(what): text for what, text in sentences.items()
            }
    return found


def _below_each(enum: ast.ClassDef) -> dict[str, str]:
    """The text below each member of an enum, by the member's name."""
    return {
        member.targets[0].id: text.value.value
        for member, text in pairwise(enum.body)
        if isinstance(member, ast.Assign)
        and isinstance(member.targets[0], ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def table(consequence: Consequence) -> str:
    """The reasons for one consequence as a Markdown table."""
    rows = [
        f"| `{reason}` | {sentences[consequence]} |"
        for reason, sentences in explanations().items()
        if consequence in sentences
    ]
    return "\n".join(["| reason | what happened, and what to do |", "|---|---|", *rows])


def page(written: str) -> str:
    """The page with each of its tables renewed; raises `ValueError` on an unknown one.

    Every consequence but the internal one must have its table.
    """
    tables = [Consequence(match["consequence"]) for match in _TABLE.finditer(written)]
    if sorted(tables) != sorted(set(Consequence) - {Consequence.INTERNAL}):
        raise ValueError("docs/runbook.md must have one table for each consequence")
    return _TABLE.sub(
        lambda match: "{begin}\n{table}\n\n{end}".format(
            begin=match["begin"],
            table=table(Consequence(match["consequence"])),
            end=match["end"],
        ),
        written,
    )


if __name__ == "__main__":
    sys.exit(write_or_check(PAGE, page(PAGE.read_text())))
