"""The table at the end of a run."""

import pytest

from tests.system import claims
from tests.system.claims import record_claim


def test_the_table_has_a_line_a_row_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "_recorded", [])
    assert claims.table() == []
    record_claim(row="B-x", size="20", faults="none", claim="0 lost", result="0 lost")
    record_claim(row="A-x", size="7", faults="429", claim="0 wrong", result="1 wrong")
    heading, _, first, second = claims.table()
    assert heading.split() == ["row", "size", "faults", "claim", "result"]
    assert first.split() == ["A-x", "7", "429", "0", "wrong", "1", "wrong"]
    assert second.startswith("B-x")
    assert heading.index("result") == first.index("1 wrong") == second.rindex("0 lost")
