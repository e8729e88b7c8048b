"""The ledger on moto: what a crash between two of its writes leaves behind."""

import pytest

from bridge.aws.dynamodb import Table, Update
from bridge.cohorts.adapters.dynamodb_ledger import DynamoLedger
from bridge.cohorts.messages import CohortKey, PageMessage
from bridge.cohorts.ports.ledger import Tally
from bridge.cohorts.ports.page_log import Registration
from bridge.cohorts.rules.model import Cohort, Page
from bridge.cohorts.rules.placement import Placement
from bridge.mixpanel.cohort_webhook import Action
from tests.integration.stack import Stack

KEY = CohortKey(project="33", cohort="7")
PAGE = Page("session-1", Action.ADD, 1, 2, "digest-1", empty=False)
TALLY = Tally({"no_identifier": 2})
MESSAGE = PageMessage(key=KEY, seq=5, action=Action.ADD, page="1", digest="digest-1")


def test_a_page_counts_once_if_the_process_dies_before_the_page_is_marked(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = Table(stack.dynamodb, stack.table)
    ledger = DynamoLedger(table, now=1)
    ledger.register(Cohort(), Registration(KEY, PAGE, Placement(5, opens=True), 5))
    update = table.update

    def dies_at_the_page(change: Update) -> bool:
        if change.arguments("")["Key"]["sk"]["S"].startswith("P#"):
            raise KeyboardInterrupt
        return update(change)

    monkeypatch.setattr(table, "update", dies_at_the_page)
    with pytest.raises(KeyboardInterrupt):
        ledger.mark_processed(MESSAGE, TALLY)
    monkeypatch.undo()
    cohort, page = ledger.cohort_and_page(MESSAGE)
    assert page
    assert not page.processed, "so that its message is carried out again"

    ledger.mark_processed(MESSAGE, TALLY)
    cohort, page = ledger.cohort_and_page(MESSAGE)
    assert page
    assert page.processed
    assert [sync.processed for sync in cohort.syncs] == [1]
    assert cohort.syncs[0].skipped[Action.ADD] == {"no_identifier": 2}


def test_a_page_that_was_never_registered_is_unknown(stack: Stack) -> None:
    ledger = DynamoLedger(Table(stack.dynamodb, stack.table), now=1)
    assert ledger.cohort_and_page(MESSAGE) == (Cohort(), None)
