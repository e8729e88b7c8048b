"""Every event meets one fate, and what is deferred counts as nothing else."""

from collections import Counter

from bridge.currents.delivery.outcome import Outcome
from bridge.errors import RetryableError
from bridge.quarantine import QuarantinedItem

OPEN = "users.messages.email.Open"
UNAVAILABLE = RetryableError("mixpanel_status_503")


def item(kind: str = OPEN) -> QuarantinedItem:
    return QuarantinedItem(b"{}", "bad_time", kind=kind)


def counts(outcome: Outcome, event_type: str = OPEN) -> dict[str, int]:
    return dict(+outcome.by_event[event_type])


def test_each_fate_is_counted_by_type_and_in_the_accounts() -> None:
    outcome = Outcome()
    outcome.accounts.received = 3
    outcome.deliver(Counter({OPEN: 1}))
    outcome.filter_out(OPEN, "before_2010")
    outcome.quarantine(0, item())
    assert outcome.accounts.closed
    assert counts(outcome) == {"delivered": 1, "filtered": 1, "quarantined": 1}
    assert outcome.accounts.filtered == {"before_2010": 1}
    assert outcome.accounts.quarantined == {"bad_time": 1}


def test_an_item_without_a_known_type_is_counted_apart() -> None:
    outcome = Outcome()
    outcome.quarantine(0, item(kind="any text"))
    assert counts(outcome, "?") == {"quarantined": 1}


def test_items_from_the_first_deferred_record_on_are_deferred_too() -> None:
    outcome = Outcome()
    for record in range(3):
        outcome.quarantine(record, item())
    outcome.accounts.received = 4
    outcome.defer(1, UNAVAILABLE, [OPEN])
    assert (outcome.defer_from, outcome.error) == (1, UNAVAILABLE)
    assert list(outcome.quarantined) == [0]
    assert outcome.accounts.deferred == 3
    assert outcome.accounts.closed
    assert counts(outcome) == {"quarantined": 1, "deferred": 3}


def test_the_original_of_a_reshaped_event_counts_as_nothing_beside_its_delivery() -> (
    None
):
    outcome = Outcome()
    outcome.accounts.received = 1
    outcome.deliver(Counter({OPEN: 1}))
    outcome.keep_original(2, QuarantinedItem(b"{}", "reshaped", kind=OPEN))
    assert outcome.reshaped == {OPEN: 1}
    assert outcome.accounts.closed
    outcome.defer(1, UNAVAILABLE)
    assert outcome.accounts.closed, "it is delivered, and comes again with its record"
    assert outcome.accounts.deferred == 0
    assert counts(outcome) == {"delivered": 1}
    assert not outcome.quarantined
