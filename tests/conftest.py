"""The claims of all tests, in whichever process they ran: one table at the end."""

from collections.abc import Generator
from dataclasses import astuple
from itertools import chain

import pytest

from tests.system.claims import Claim, table, take_claims

CLAIM = "claim"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put what a test claimed into its report, read by the process that prints."""
    item.user_properties += [(CLAIM, astuple(claim)) for claim in take_claims()]
    return (yield)


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
