"""The tests that docs/field-reports.md names exist, and each kind has its share."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "field-reports.md"
KINDS = 37
_TEST = re.compile(r"`(test_\w+)::(test_\w+)`")
_ROW = re.compile(r"^\| (?!kind|---)(.+?) \|.*$", re.MULTILINE)


def rows() -> Iterator[tuple[str, str]]:
    """The kind, and the whole row."""
    for row in _ROW.finditer(PAGE.read_text()):
        yield row[1], row[0]


def names(module: str) -> set[str]:
    """The tests of the modules of this name."""
    return {
        node.name
        for path in (ROOT / "tests").rglob(f"{module}.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef)
    }


@pytest.mark.parametrize(("kind", "row"), [*rows()])
def test_a_kind_has_the_reported_input_and_two_others(kind: str, row: str) -> None:
    cells = row.strip("| ").split(" | ")
    reported, others = (_TEST.findall(cell) for cell in cells[2:])
    assert len(reported) == 1
    assert len(set(others)) >= 2
    assert len(cells) == 4


def test_every_test_that_the_page_names_exists() -> None:
    named = _TEST.findall(PAGE.read_text())
    assert len(list(rows())) == KINDS
    assert [test for test in named if test[1] not in names(test[0])] == []
