"""What the command says of cohorts that need somebody: silent ones, two connections."""

import time

import boto3

from bridge.aws.dynamodb import Table
from bridge.cohorts.adapters.dynamodb_ledger import DynamoLedger
from bridge.cohorts.messages import CohortKey
from bridge.cohorts.ports.page_log import Registration
from bridge.cohorts.rules.model import Page
from bridge.cohorts.rules.placement import Placement
from bridge.mixpanel.cohort_webhook import Action
from tests.integration.operator import Operator
from tests.integration.stack import REGION

HOUR_MS = 3_600_000


def open_syncs(cohort: str, *ages_hours: float, senders: str = "a") -> None:
    """Syncs of a cohort, each so many hours old; the senders take turns."""
    now = time.time()
    ledger = DynamoLedger(Table(boto3.client("dynamodb", REGION), "ledger"), now)
    key = CohortKey(project="7", cohort=cohort)
    for number, age in enumerate(ages_hours):
        seq = int(now * 1000 - age * HOUR_MS)
        sender = senders[number % len(senders)]
        page = Page(f"s{seq}", Action.FULL, 1, 1, "d", empty=True, sender=sender)
        placement = Placement(seq, opens=True)
        registration = Registration(key, page, placement, seq, name=f"of {cohort}")
        assert ledger.register(ledger.cohort(key), registration)


def line_of(output: str, cohort: str) -> str:
    (line,) = (each for each in output.splitlines() if f"of {cohort}" in each)
    return line


def test_cohorts_and_status_say_who_is_silent_and_who_has_two_connections(
    operator: Operator,
) -> None:
    open_syncs("81", 1.0, 0.5, 0.0)
    # Hourly: two hours are not three gaps yet.
    open_syncs("82", 4.0, 3.0, 2.0)
    open_syncs("83", 51 * 24, 50.5 * 24, 50 * 24)
    open_syncs("84", 1.0, 0.5, 0.0, senders="ab")
    status, said = operator.run("cohorts")
    assert status == 0
    notes = {each: line_of(said, each).count("(silent)") for each in ("81", "82", "83")}
    assert notes == {"81": 0, "82": 0, "83": 1}
    assert "(two connections feed it)" in line_of(said, "84")
    assert said.count("two connections") == 1
    status, said = operator.run("status")
    assert status == 0
    assert "cohort 84: two connections feed it" in said
