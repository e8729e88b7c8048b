"""`bridge check`: every secret, the rules and both vendors, each with its own line."""

import json
import socket
from dataclasses import replace
from typing import Any

import pytest

from bridge.settings import CohortRoute
from cli.check import check
from cli.stack import RunningStack
from tests.integration.operator import (
    CANARY,
    LOGINS,
    NAME,
    RULES,
    Aws,
    Operator,
    complaint,
)
from tests.integration.stack import PROJECT_TOKEN, REGION


def test_all_that_is_right_is_reported_line_by_line(operator: Operator) -> None:
    status, said = operator.run("check")
    assert status == 0
    assert said.splitlines() == [
        *(f"right  {name} has a value of the right shape" for name in LOGINS),
        "right  Identifiers can be used on the attribute route",
        f"right  {RULES} has rules that can be used",
        "right  Braze takes the REST key",
        "right  Braze takes the partner key and the data import key",
        "right  Mixpanel takes the login",
    ]


def test_nothing_is_written_and_a_second_run_says_the_same(operator: Operator) -> None:
    assert operator.run("check") == operator.run("check")
    assert operator.vendors.mixpanel.visible() == {}
    braze = operator.vendors.braze.workspace
    assert braze.cohort_members("mixpanel_cohorts", "bridge-check") == set()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"{", "the document"),
        (b"\xff", "the document"),
        (b'{"exlude": []}', "exlude"),
        (b'{"sample": [{"events": ["*"], "keep": "canary-of-a-foreign-message"}]}',
         "sample.0.keep"),
    ],
)  # fmt: skip
def test_rules_that_are_broken_are_wrong(
    operator: Operator, content: bytes, why: str
) -> None:
    operator.put_rules(content)
    status, said = operator.run("check")
    assert status == 1
    assert complaint(said).startswith(f"{RULES} has rules that can be used: ")
    assert why in complaint(said)


@pytest.mark.parametrize(
    ("identifiers", "entry"),
    [
        ("email=email", "email=email"),
        ("external_id=id,phone=tel", "phone=tel"),
        ("device=d, email=$email", "email=$email"),
    ],
)
def test_identifiers_that_the_partner_route_does_not_take_are_wrong(
    operator: Operator, identifiers: str, entry: str
) -> None:
    deployed = RunningStack.deployed(NAME, REGION)
    both = replace(deployed, identifiers=identifiers, route=CohortRoute.PARTNER)
    (wrong,) = [finding for finding in check(both) if finding.problem]
    assert wrong.what == "Identifiers can be used on the partner route"
    assert f"{entry!r}: Braze's cohort import takes no" in wrong.problem


def test_rules_that_are_not_there_are_wrong(operator: Operator) -> None:
    operator.s3.delete_object(Bucket="data", Key=RULES)
    status, said = operator.run("check")
    assert status == 1
    assert complaint(said).endswith(f"there is no s3://data/{RULES}")


def test_rules_that_hash_need_a_key_in_the_secret(operator: Operator) -> None:
    operator.put_rules(b'{"personal": "hash"}')
    assert operator.run("check")[0] == 0
    operator.set_secret("MixpanelSecret", json.dumps({"project_token": PROJECT_TOKEN}))
    status, said = operator.run("check")
    assert status == 1
    assert "needs an hmac_key" in complaint(said)


@pytest.mark.parametrize("name", LOGINS)
@pytest.mark.parametrize(
    "text", [CANARY, "[]", json.dumps({"token": [CANARY], "rest_api_key": [CANARY]})]
)
def test_a_secret_that_is_unusable_is_named_and_not_shown(
    operator: Operator, name: str, text: str
) -> None:
    operator.set_secret(name, text)
    status, said = operator.run("check")
    assert status == 1
    wrong = [line for line in said.splitlines() if line.startswith("wrong")]
    (own,) = [line for line in wrong if "right shape" in line]
    assert own.startswith(f"wrong  {name} has a value of the right shape: The secret ")
    asked = {"BrazeSecret": 1, "MixpanelSecret": 1}
    assert len(wrong) == 1 + asked.get(name, 0)


@pytest.mark.parametrize("name", LOGINS)
def test_a_secret_that_is_not_there_is_reported(operator: Operator, name: str) -> None:
    operator.secrets.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    status, said = operator.run("check")
    assert status == 1
    assert (
        f"wrong  {name} has a value of the right shape: Secrets Manager gives" in said
    )


def test_a_braze_secret_without_any_key_is_reported(operator: Operator) -> None:
    operator.set_secret("BrazeSecret", "{}")
    status, said = operator.run("check")
    assert status == 1
    assert complaint(said).endswith("The Braze secret has no rest_api_key")


@pytest.mark.parametrize("missing", ["data_import_key", "partner_api_key"])
def test_the_partner_route_needs_both_keys(operator: Operator, missing: str) -> None:
    keys = {k: v for k, v in LOGINS["BrazeSecret"].items() if k != missing}
    del keys["rest_api_key"]
    operator.set_secret("BrazeSecret", json.dumps(keys))
    status, said = operator.run("check")
    assert status == 1
    assert "The Braze secret has no " in complaint(said)


WRONG_KEYS = {
    "Braze takes the REST key": ("BrazeSecret", {"rest_api_key": CANARY}),
    "Braze takes the partner key and the data import key": (
        "BrazeSecret",
        {"data_import_key": CANARY},
    ),
    "Mixpanel takes the login": ("MixpanelSecret", {"project_token": CANARY}),
}


@pytest.mark.parametrize("what", WRONG_KEYS)
def test_a_key_that_the_vendor_rejects_is_reported(
    operator: Operator, what: str
) -> None:
    name, wrong = WRONG_KEYS[what]
    operator.set_secret(name, json.dumps(LOGINS[name] | wrong))
    status, said = operator.run("check")
    assert status == 1
    assert complaint(said).startswith(f"{what}: ")
    assert "rejects" in complaint(said)


@pytest.mark.parametrize("name", ["BrazeSecret", "MixpanelSecret"])
def test_a_key_that_no_header_can_hold_is_reported(
    operator: Operator, name: str
) -> None:
    key = {"BrazeSecret": "rest_api_key", "MixpanelSecret": "project_token"}[name]
    operator.set_secret(name, json.dumps(LOGINS[name] | {key: f"ключ-{CANARY}"}))
    status, said = operator.run("check")
    assert status == 1
    assert "odd characters" in complaint(said)


def test_a_vendor_that_cannot_be_reached_is_reported(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No network, from here: nobody listens at the port."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with_stand_ins = RunningStack.deployed
        monkeypatch.setattr(
            RunningStack,
            "deployed",
            lambda name, region: replace(
                with_stand_ins(name, region), braze_url=nobody, mixpanel_url=nobody
            ),
        )
        status, said = operator.run("check")
    assert status == 1
    wrong = [line for line in said.splitlines() if line.startswith("wrong")]
    assert [line.partition(": ")[2] for line in wrong] == [
        *2 * ["braze did not take the request (network, 1 tries)"],
        "mixpanel did not take the request (network, 1 tries)",
    ]


def test_one_thing_that_is_wrong_hides_no_other(operator: Operator) -> None:
    operator.put_rules(b"{")
    operator.set_secret("CurrentsSecret", CANARY)
    operator.set_secret("MixpanelSecret", json.dumps({"project_token": CANARY}))
    status, said = operator.run("check")
    assert status == 1
    lines = [line.partition("  ") for line in said.splitlines()]
    wrong = [what.partition(" ")[0] for label, _, what in lines if label == "wrong"]
    assert wrong == ["CurrentsSecret", RULES, "Mixpanel"]


@pytest.mark.parametrize("operation", ["GetSecretValue", "GetObject"])
def test_what_may_not_be_read_is_reported(
    operator: Operator, aws: Aws, operation: str
) -> None:
    aws.deny(operation)
    status, said = operator.run("check")
    assert status == 1
    wrong = [line for line in said.splitlines() if line.startswith("wrong")]
    assert len(wrong) == {"GetSecretValue": 6, "GetObject": 1}[operation]
    aws.heal()
    assert operator.run("check")[0] == 0


def test_a_stack_without_rules_is_not_asked_for_them(
    operator: Operator, aws: Aws
) -> None:
    stack: Any = replace(RunningStack.deployed(NAME, REGION), rules_key="")
    assert [finding.problem for finding in check(stack) if finding.problem] == []
    assert "GetObject" not in aws.calls
