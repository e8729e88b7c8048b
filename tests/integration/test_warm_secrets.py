"""Warm functions while their secrets are rotated."""

import base64
import io
import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from bridge.credentials import CACHE_SECONDS, REFRESH_SECONDS
from functions.cohort_consumer import app as consumer
from functions.cohort_webhook import app as webhook
from functions.currents_importer import app as importer
from functions.currents_receiver import app as receiver
from sandbox.braze import BrazeStandIn
from sandbox.mixpanel import MixpanelStandIn
from tests.integration.clock import Clock
from tests.integration.importer import (
    CLICK,
    OPEN,
    deliver,
    event_names,
    quarantined_events,
)
from tests.integration.stack import (
    PASSWORD,
    TOKEN,
    Context,
    Stack,
    sample,
)


def call_webhook(password: str) -> int:
    event = sample("cohort_webhook")
    login = base64.b64encode(f"mixpanel:{password}".encode()).decode()
    event["headers"]["authorization"] = f"Basic {login}"
    return int(webhook.handler(event, Context())["statusCode"])


def call_receiver(token: str) -> int:
    event = sample("currents_receiver_probe")
    event["headers"]["authorization"] = f"Bearer {token}"
    return int(receiver.handler(event, Context())["statusCode"])


@pytest.mark.parametrize(
    ("name", "cached", "call", "old", "secret"),
    [
        ("webhook", webhook.webhook, call_webhook, PASSWORD, "password"),
        ("currents", receiver.receiver, call_receiver, TOKEN, "token"),
    ],
    ids=["webhook", "receiver"],
)
def test_a_warm_door_takes_a_new_password_at_once_and_the_old_one_not_for_long(
    stack: Stack,
    monkeypatch: pytest.MonkeyPatch,
    clock: Clock,
    name: str,
    cached: Any,
    call: Callable[[str], int],
    old: str,
    secret: str,
) -> None:
    def rotate(password: str) -> None:
        changed = json.dumps({"username": "mixpanel", secret: password})
        stack.secrets.put_secret_value(SecretId=name, SecretString=changed)

    cached.cache_clear()
    monkeypatch.setattr(cached().secret, "_clock", clock)
    assert call(old) == 200
    rotate("second-password")
    clock.now += CACHE_SECONDS - 1
    assert call(old) == 200, "it is not known yet"
    clock.now += 1
    assert call(old) == 401
    assert call("second-password") == 200
    rotate("third-password")
    clock.now += REFRESH_SECONDS
    assert call("third-password") == 200, "at once, for the secret is looked up again"
    assert call("second-password") == 401


def test_a_warm_importer_takes_new_credentials_at_the_first_rejection(
    stack: Stack, mixpanel: MixpanelStandIn, logged: io.StringIO
) -> None:
    assert deliver(CLICK)
    mixpanel.credentials.singles = {"canary-new-token"}
    rotated = json.dumps({"project_token": "canary-new-token"})
    stack.secrets.put_secret_value(SecretId="mixpanel", SecretString=rotated)
    assert deliver(OPEN)
    assert event_names(mixpanel) == ["Email Click", "Email Open"]
    assert "canary-new-token" not in logged.getvalue()


def test_after_a_rejection_a_warm_process_reads_the_secret_again_within_half_a_minute(
    stack: Stack,
    mixpanel: MixpanelStandIn,
    monkeypatch: pytest.MonkeyPatch,
    clock: Clock,
) -> None:
    monkeypatch.setattr(importer.importer().secret, "_clock", clock)
    assert deliver(CLICK)
    mixpanel.credentials.singles = {"new-token"}
    assert not deliver(OPEN)
    rotated = json.dumps({"project_token": "new-token"})
    stack.secrets.put_secret_value(SecretId="mixpanel", SecretString=rotated)
    clock.now += REFRESH_SECONDS - 1
    assert not deliver(OPEN), "Secrets Manager is not asked at each rejection"
    clock.now += 1
    assert deliver(OPEN)
    assert quarantined_events(stack) == []


def secret_without_a_value(stack: Stack, name: str) -> None:
    stack.secrets.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    empty = stack.secrets.create_secret(Name=name)
    os.environ[f"{name.upper()}_SECRET_ARN"] = empty["ARN"]


def unusable_secret(stack: Stack, name: str) -> None:
    stack.secrets.put_secret_value(SecretId=name, SecretString="no JSON")


def secret_that_lacks_its_key(stack: Stack, name: str) -> None:
    stack.secrets.put_secret_value(SecretId=name, SecretString="{}")


UNUSABLE = [secret_without_a_value, unusable_secret, secret_that_lacks_its_key]


@pytest.mark.parametrize("make", UNUSABLE)
def test_an_importer_without_mixpanels_credentials_rings_at_the_first_try(
    stack: Stack,
    mixpanel: MixpanelStandIn,
    capsys: pytest.CaptureFixture[str],
    make: Callable[[Stack, str], None],
) -> None:
    make(stack, "mixpanel")
    importer.importer.cache_clear()
    assert not deliver(CLICK)
    assert '"CredentialsRejected":[1.0]' in capsys.readouterr().out


@pytest.mark.parametrize("make", UNUSABLE)
def test_a_consumer_without_brazes_key_rings_at_the_first_try(
    stack: Stack,
    braze: BrazeStandIn,
    capsys: pytest.CaptureFixture[str],
    make: Callable[[Stack, str], None],
) -> None:
    make(stack, "braze")
    consumer.consumer.cache_clear()
    assert call_webhook(PASSWORD) == 200
    capsys.readouterr()
    answer = consumer.handler({"Records": stack.messages()}, Context())
    assert len(answer["batchItemFailures"]) == 1
    assert '"CredentialsRejected":[1.0]' in capsys.readouterr().out


def test_rules_that_need_mixpanels_secret_ring_its_alarm_too(
    stack: Stack,
    mixpanel: MixpanelStandIn,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rules = json.dumps({"hash_properties": ["to_phone_number"]}).encode()
    stack.s3.put_object(Bucket="data", Key="rules/currents.json", Body=rules)
    monkeypatch.setenv("RULES_KEY", "rules/currents.json")
    secret_without_a_value(stack, "mixpanel")
    importer.importer.cache_clear()
    assert not deliver(CLICK)
    assert '"CredentialsRejected":[1.0]' in capsys.readouterr().out
