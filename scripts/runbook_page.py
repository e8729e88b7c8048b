"""Write the tables of reasons in docs/runbook.md from `bridge.reasons`.

`--check` fails where they are not current. Run by `make docs` and `make check`. The
rest of the page is written by hand; each table stands between two comments.
"""

import re
import sys
from pathlib import Path

from cli.explain import Consequence, explanations
from scripts.pages import write_or_check

PAGE = Path(__file__).parents[1] / "docs" / "runbook.md"

_TABLE = re.compile(
    r"(?P<begin><!-- reasons: (?P<consequence>[a-z ]+) -->\n)"
    r".*?"
    r"(?P<end><!-- end of reasons -->\n)",
    re.DOTALL,
)


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
