"""`bridge setup`: keys without echo, tried at the vendors; and what to click."""

import builtins
import getpass
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bridge.settings import CohortRoute
from cli.__main__ import main
from cli.stack import RunningStack
from tests.integration.operator import LOGINS, NAME, Operator
from tests.integration.stack import (
    IMPORT_KEY,
    PARTNER_KEY,
    PASSWORD,
    PROJECT_TOKEN,
    REGION,
    REST_KEY,
    TOKEN,
)

OUTPUTS = {
    "WebhookUrl": "https://api.example.org/x/cohorts",
    "CohortImportUrl": "https://api.example.org/x",
    "CurrentsUrl": "https://api.example.org/x/currents",
    "CurrentsBucketName": "the-bucket",
}
SHOWN = {PASSWORD, TOKEN}
"""Ours, which are to be entered at the vendors."""

type Setup = Callable[..., tuple[int, str]]


@pytest.fixture
def setup(
    operator: Operator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Setup:
    def run(
        *answers: str, options: str = "", stack: dict[str, Any] | None = None
    ) -> tuple[int, str]:
        given = iter(answers)
        asked = RunningStack.deployed

        def with_outputs(name: str, region: str | None) -> RunningStack:
            changes = {"outputs": OUTPUTS, **(stack or {})}
            return replace(asked(name, region), **changes)

        def answer(question: str) -> str:
            try:
                return next(given)
            except StopIteration:
                raise EOFError from None

        with monkeypatch.context() as patched:
            patched.setattr(RunningStack, "deployed", with_outputs)
            patched.setattr(builtins, "input", answer)
            patched.setattr(getpass, "getpass", answer)
            capsys.readouterr()
            command = f"--stack {NAME} --region {REGION} setup {options}"
            status = main(command.split())
        said = capsys.readouterr()
        for secret in (REST_KEY, PARTNER_KEY, PROJECT_TOKEN, "canary"):
            assert secret not in said.out + said.err
        return status, said.out + said.err

    return run


def stored(operator: Operator, name: str) -> Any:
    found = operator.secrets.get_secret_value(SecretId=name)["SecretString"]
    return json.loads(found)


def empty(operator: Operator, name: str) -> None:
    operator.secrets.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    operator.secrets.create_secret(Name=name)


def test_a_fresh_stack_gets_its_keys_and_says_what_to_click(
    setup: Setup, operator: Operator
) -> None:
    empty(operator, "BrazeSecret")
    empty(operator, "MixpanelSecret")
    status, said = setup(f" {REST_KEY}\n", "", PROJECT_TOKEN)
    assert status == 0
    assert stored(operator, "BrazeSecret") == {"rest_api_key": REST_KEY}
    assert stored(operator, "MixpanelSecret") == {"project_token": PROJECT_TOKEN}
    assert "Mixpanel > Data > Destinations > Add Destination > Webhook" in said
    for value in (*OUTPUTS.values(), "mixpanel", *SHOWN):
        if value != OUTPUTS["CohortImportUrl"]:
            assert value in said
    assert "none yet: make deploy SET=" in said


def test_a_key_that_the_vendor_rejects_is_not_stored_and_asked_again(
    setup: Setup, operator: Operator
) -> None:
    before = stored(operator, "BrazeSecret")
    status, said = setup("canary-wrong", REST_KEY, "", "")
    assert (status, said.count("wrong  ")) == (0, 1)
    assert stored(operator, "BrazeSecret") == before


def test_three_wrong_keys_leave_the_secret_as_it_was(
    setup: Setup, operator: Operator
) -> None:
    before = stored(operator, "BrazeSecret")
    status, said = setup("canary-1", "canary-2", "canary-3", "", "")
    assert status == 1
    assert "BrazeSecret is as it was" in said
    assert stored(operator, "BrazeSecret") == before
    assert "bearer token" in said, "what to click is shown all the same"


def test_enter_keeps_what_is_there(setup: Setup, operator: Operator) -> None:
    before = {name: stored(operator, name) for name in LOGINS}
    status, said = setup("", "", "")
    assert status == 0
    assert said.count("unchanged, and taken") == 2
    assert {name: stored(operator, name) for name in LOGINS} == before


def test_a_new_login_of_mixpanel_replaces_the_old_and_keeps_the_rest(
    setup: Setup, operator: Operator
) -> None:
    accounts = operator.vendors.mixpanel.credentials
    login = {
        "service_account_username": "bridge.abc123.mp-service-account",
        "service_account_secret": "canary-service-secret",
        "project_id": accounts.project_id,
    }
    operator.set_secret("MixpanelSecret", json.dumps({"hmac_key": "k" * 20, **login}))
    status, _ = setup("", "", PROJECT_TOKEN)
    assert status == 0
    kept = {"hmac_key": "k" * 20, "project_token": PROJECT_TOKEN}
    assert stored(operator, "MixpanelSecret") == kept


def test_the_partner_route_asks_for_its_two_keys(
    setup: Setup, operator: Operator
) -> None:
    empty(operator, "BrazeSecret")
    route = {"route": CohortRoute.PARTNER}
    status, _ = setup(PARTNER_KEY, IMPORT_KEY, "", "", stack=route)
    assert status == 0
    keys = {"partner_api_key": PARTNER_KEY, "data_import_key": IMPORT_KEY}
    assert stored(operator, "BrazeSecret") == keys


def test_a_secret_that_stays_empty_is_wrong(setup: Setup, operator: Operator) -> None:
    empty(operator, "BrazeSecret")
    status, said = setup("", "", "")
    assert status == 1
    assert "BrazeSecret is still empty" in said


def test_show_asks_nothing_and_a_role_is_shown(setup: Setup) -> None:
    role = {"outputs": OUTPUTS | {"CurrentsRoleArn": "arn:aws:iam::1:role/r"}}
    status, said = setup(options="--show", stack=role)
    assert status == 0
    assert "arn:aws:iam::1:role/r" in said


def test_without_a_terminal_one_line_says_so(setup: Setup) -> None:
    status, said = setup()
    assert (status, said) == (1, "wrong  nobody answers; run setup in a terminal\n")
