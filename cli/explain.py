"""What a reason means, and what to do: the sentences that stand below it in the code.

docs/runbook.md is generated from the same sentences.
"""

import ast
import re
from enum import StrEnum
from functools import cache
from itertools import pairwise
from pathlib import Path

from bridge import reasons
from bridge.reasons import Reason, ReasonPattern


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


def explain(reason: str, consequence: Consequence) -> str:
    """The sentence for a reason; empty where there is none."""
    known = explanations()
    for each in Reason:
        if each == reason:
            return known[each].get(consequence, "")
    for pattern in ReasonPattern:
        parts = map(re.escape, pattern.split("…"))
        if consequence in known[pattern] and re.fullmatch(".+".join(parts), reason):
            return known[pattern][consequence]
    return ""
