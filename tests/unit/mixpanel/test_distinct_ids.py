"""Ids that stand for nobody are recognised as Mixpanel recognises them."""

import pytest

from bridge.mixpanel.distinct_ids import PLACEHOLDERS, is_placeholder


@pytest.mark.parametrize("value", sorted(PLACEHOLDERS))
def test_a_placeholder_is_one_in_any_case_and_with_blanks(value: str) -> None:
    assert is_placeholder(value)
    assert is_placeholder(f" {value.upper()}\t")


@pytest.mark.parametrize("value", ["", "cust-42", "1", "unknown-7", "$device:null"])
def test_any_other_value_is_none(value: str) -> None:
    assert not is_placeholder(value)
