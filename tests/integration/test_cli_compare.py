"""reconcile and audit where a vendor does not answer as it should; pacing; two runs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.aws.dynamodb import Table
from bridge.cohorts.adapters.dynamodb_ledger import DynamoLedger
from bridge.cohorts.messages import CohortKey
from cli.mixpanel_list import Pacer, connect, opened, seconds_for
from cli.stack import RunningStack
from sandbox.mixpanel import Cohort
from tests.integration.operator import CANARY, Aws, Operator, complaint
from tests.integration.stack import REGION
from tests.integration.test_cli_cohorts import open_syncs

COHORT = "8120045"
ACCOUNT = {
    "service_account_username": "someone",
    "service_account_secret": "canary-account-0123",
    "project_id": "1",
}
KEY = CohortKey(project="7", cohort=COHORT)


@pytest.fixture
def mixpanel(operator: Operator) -> Iterator[Any]:
    """A Mixpanel with a cohort of 2,500, and a secret with a service account."""
    open_syncs(COHORT, 1.0, 0.0)
    stand_in = operator.vendors.mixpanel
    stand_in.service_accounts = {"someone": ACCOUNT["service_account_secret"]}
    stand_in.cohorts[COHORT] = Cohort(
        COHORT,
        "Big",
        {f"d{n}": {"email": f"u{n}@example.com"} for n in range(2_500)},
        project_id="1",
    )
    operator.set_secret("MixpanelSecret", json.dumps(ACCOUNT))
    yield stand_in
    stand_in.service_accounts = {}
    stand_in.cohorts.clear()
    stand_in.queries._asked.clear()


def reconcile(operator: Operator, folder: Path, options: str = "") -> tuple[int, str]:
    return operator.run(f"reconcile {COHORT} --state {folder} {options}")


def test_a_project_token_cannot_query(operator: Operator, tmp_path: Path) -> None:
    open_syncs(COHORT, 0.0)
    for command in (f"reconcile {COHORT} --state {tmp_path}", "reconcile"):
        status, said = operator.run(command)
        assert status == 1
        assert "takes a service account only" in complaint(said)


def test_a_wrong_account_is_said_without_its_secret(
    operator: Operator, mixpanel: Any, tmp_path: Path
) -> None:
    mixpanel.service_accounts = {"someone": "another"}
    status, said = reconcile(operator, tmp_path)
    assert status == 1
    assert "rejects the service account" in complaint(said)
    assert ACCOUNT["service_account_secret"] not in said


def test_a_cohort_that_mixpanel_has_no_more_says_what_to_do(
    operator: Operator, mixpanel: Any, tmp_path: Path
) -> None:
    del mixpanel.cohorts[COHORT]
    status, said = reconcile(operator, tmp_path)
    assert status == 1
    assert "forget-cohort" in complaint(said)


def test_a_stopped_list_goes_on_with_the_page_that_is_missing(
    operator: Operator, mixpanel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, real = mixpanel.calls, mixpanel.queries.engage
    before = calls["/api/query/engage"]

    def engage(form: Any) -> Any:
        if form.get("page") == "1":
            mixpanel.service_accounts = {}
        return real(form)

    monkeypatch.setattr(mixpanel.queries, "engage", engage)
    status, said = reconcile(operator, tmp_path)
    assert (status, "rejects the service account" in said) == (1, True)
    mixpanel.queries.engage = real
    mixpanel.service_accounts = {"someone": ACCOUNT["service_account_secret"]}
    asked = calls["/api/query/engage"]
    assert asked - before == 3, "two pages, and one that was rejected"
    status, said = reconcile(operator, tmp_path)
    assert status == 3
    assert "2,500  lacking" in said
    assert calls["/api/query/engage"] - asked == 1, "the page that is missing"


def test_a_second_run_on_the_same_list_is_told_so(
    operator: Operator, mixpanel: Any, tmp_path: Path
) -> None:
    stack = RunningStack({}, "", "", {}, name="bridge-test")
    with opened(tmp_path, stack, KEY, fresh=False) as listed:
        listed.file.execute("BEGIN EXCLUSIVE")
        status, said = reconcile(operator, tmp_path)
        assert status == 1
        assert "another run is at work" in complaint(said)


def test_sixty_queries_an_hour_of_all_runs_together(tmp_path: Path) -> None:
    now, said = [1000.0], list[str]()

    def sleep(seconds: float) -> None:
        now[0] += seconds

    for _ in range(2):
        pacer = Pacer(tmp_path, "7", said.append, clock=lambda: now[0], sleep=sleep)
        for _ in range(40):
            pacer.before_a_query()
    assert now[0] == 1000.0 + 3600.0
    assert "waiting 60 min" in said[0]


def test_the_time_a_list_takes_is_said_first() -> None:
    assert seconds_for(59_000) == 60
    assert seconds_for(1_000_000) == pytest.approx(941 * 60 + 1001)


def test_braze_that_rejects_the_key_ends_an_audit(
    operator: Operator, aws: Aws, tmp_path: Path
) -> None:
    open_syncs(COHORT, 0.0)
    import boto3

    from bridge.cohorts.rules.membership import Confirmed, Member

    table = Table(boto3.client("dynamodb", REGION), "ledger")
    ledger = DynamoLedger(table, 0.0)
    ledger.publish(KEY, "d", "")
    seq = ledger.cohort(KEY).newest
    member = Member("e:u1", {"d1": {seq: True}}, Confirmed.IN, "d", 1)
    ledger.save(KEY, [member])
    operator.set_secret("BrazeSecret", json.dumps({"rest_api_key": CANARY}))
    status, said = operator.run(f"audit {COHORT}")
    assert status == 1
    assert "Braze rejects the REST key" in complaint(said)


def test_a_list_is_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    connect(folder / "x.sqlite").close()
    assert folder.stat().st_mode & 0o077 == 0
    assert (folder / "x.sqlite").stat().st_mode & 0o077 == 0
