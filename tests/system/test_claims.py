"""The table at the end of a run."""

import os
import subprocess
import sys
from pathlib import Path

from tests.system.claims import WIDTH, Claim, table

SHORT = Claim("A-x", "7 pages", "429", "0 wrong", "1 wrong")
LONG = Claim("B-x", "size " * 60, "429 " * 60, "promise " * 60, "figure " * 60)

HOOKS = """
from tests.conftest import pytest_runtest_makereport, pytest_terminal_summary
"""
SUITE = """
from tests.system.claims import record_claim

def test_one():
    record_claim(row="B-x", size="2", faults="none", claim="0 lost", result="0 lost")

def test_other():
    record_claim(row="A-x", size="7", faults="429", claim="0 wrong", result="1 wrong")
    assert False
"""


def test_the_result_comes_first_then_the_claim_then_what_was_run() -> None:
    assert table([]) == []
    assert table([SHORT]) == [
        "A-x: 1 wrong",
        "    claim: 0 wrong",
        "    run: 7 pages; faults: 429",
    ]


def test_no_line_is_wider_than_the_terminal_and_no_word_is_left_out() -> None:
    lines = table([LONG])
    assert WIDTH - 10 < max(map(len, lines)) <= WIDTH == 100
    words = " ".join(lines).replace(";", " ").split()
    assert [words.count(w) for w in ("size", "429", "promise", "figure")] == [60] * 4
    starts = [line for line in lines if not line.startswith(" " * 8)]
    assert [line.split()[0] for line in starts] == ["B-x:", "claim:", "run:"]


def test_claims_of_all_processes_end_the_run_in_order(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(HOOKS)
    (tmp_path / "test_claims_of_a_suite.py").write_text(SUITE)
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n2", "--rootdir=.", "."],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    _, _, printed = ended.stdout.partition(" claims ")
    first, *_, last = printed.splitlines()[1:7]
    assert (first, last) == ("A-x: 1 wrong", "    run: 2; faults: none"), ended.stdout
    assert "1 failed, 1 passed" in ended.stdout
