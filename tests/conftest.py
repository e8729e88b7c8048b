"""What all tests share: their order, the logger, and the table of claims at the end.

`make test` gives whole files to as many processes as there are cores, in this order.
"""

import io
import os
from collections.abc import Generator, Iterator
from dataclasses import astuple
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from tests.system.claims import Claim, table, take_claims

# What a test pipes has no width, however wide the terminal of its runner is.
os.environ.pop("COLUMNS", None)

TESTS = Path(__file__).parent
CLAIM = "claim"
FIRST = ("system", "model", "sandbox", "integration")
"""The folders whose tests take longest; all others come after them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """So that no process begins a long file when the others are done."""

    def place(item: pytest.Item) -> int:
        folder = item.path.relative_to(TESTS).parts[0]
        return FIRST.index(folder) if folder in FIRST else len(FIRST)

    items.sort(key=place)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put what a test claimed into its report, read by the process that prints."""
    item.user_properties += [(CLAIM, astuple(claim)) for claim in take_claims()]
    return (yield)


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """What the logger writes, which keeps the stream that it was imported with."""
    from bridge.observability import logger

    handler: Any = logger.registered_handler
    stream = io.StringIO()
    before = handler.setStream(stream)
    yield stream
    handler.setStream(before)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = chain.from_iterable(terminalreporter.stats.values())
    claims = [
        Claim(*value)
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call"
        for name, value in report.user_properties
        if name == CLAIM and isinstance(value, tuple)
    ]
    if claims:
        terminalreporter.section("claims")
        for line in table(claims):
            terminalreporter.write_line(line)
