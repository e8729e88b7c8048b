"""Accounts close if every item that was received met exactly one fate."""

import pytest

from bridge.accounts import Accounts


def accounts(received: int = 10) -> Accounts:
    made = Accounts(received=received, delivered=4, deferred=3)
    made.filtered["before_2010"] += 2
    made.quarantined["bad_time"] += 1
    return made


def test_they_close_when_every_item_met_one_fate() -> None:
    assert Accounts().closed
    assert accounts().closed


@pytest.mark.parametrize("received", [9, 11])
def test_an_item_counted_twice_or_not_at_all_leaves_them_open(received: int) -> None:
    assert not accounts(received).closed


def test_the_summary_has_every_fate_and_no_reason_without_items() -> None:
    made = accounts()
    made.quarantined["rejected"] += 1
    made.quarantined["rejected"] -= 1
    assert made.summary() == {
        "received": 10,
        "delivered": 4,
        "deferred": 3,
        "filtered": {"before_2010": 2},
        "quarantined": {"bad_time": 1},
        "closed": True,
    }
