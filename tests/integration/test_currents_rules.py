"""The customer's rules in the function currents_importer: read from S3, waited for."""

import base64
import io
import json
from typing import Any

import pytest

from bridge.currents.rules_source import RULES_CACHE_SECONDS
from functions.currents_importer import app
from sandbox.mixpanel import MixpanelStandIn
from tests.integration.importer import CLICK, NONE_FAILED, OPEN
from tests.integration.stack import (
    PROJECT_TOKEN,
    Context,
    Stack,
    forget_secrets,
    sample,
)

KEY = "rules/currents.json"
HMAC_KEY = "canary-hmac-key-0123"
EMAIL = "canary@example.org"


@pytest.fixture(autouse=True)
def rules_key(mixpanel: MixpanelStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RULES_KEY", KEY)
    app.importer.cache_clear()


def put(stack: Stack, rules: Any) -> None:
    body = rules if isinstance(rules, bytes) else json.dumps(rules).encode()
    stack.s3.put_object(Bucket=stack.bucket, Key=KEY, Body=body)


def batch(*event_types: str) -> dict[str, Any]:
    (first, *_) = sample("currents_importer")["Records"]
    events = [
        {
            "event_type": event_type,
            "id": f"id-{number}",
            "time": 1_767_225_600,
            "user": {"external_user_id": "cust-1"},
            "properties": {"email_address": EMAIL, "url": "u"},
        }
        for number, event_type in enumerate(event_types)
    ]
    data = base64.b64encode(json.dumps(events).encode()).decode()
    return {"Records": [first | {"kinesis": first["kinesis"] | {"data": data}}]}


def test_rules_hold_events_and_properties_back(
    stack: Stack, mixpanel: MixpanelStandIn, logged: io.StringIO
) -> None:
    """R11: which events are exported is the customer's choice."""
    put(stack, {"include": [CLICK], "drop_properties": ["email_address"]})
    assert app.handler(batch(CLICK, OPEN), Context()) == NONE_FAILED
    (event,) = mixpanel.visible().values()
    assert event["event"] == "Email Click"
    assert EMAIL not in json.dumps(event)
    assert '"not_included": 1' in logged.getvalue()


def test_personal_values_are_hashed_with_the_key_of_the_secret(
    stack: Stack, mixpanel: MixpanelStandIn, logged: io.StringIO
) -> None:
    login = {"project_token": PROJECT_TOKEN, "hmac_key": HMAC_KEY}
    stack.secrets.put_secret_value(SecretId="mixpanel", SecretString=json.dumps(login))
    put(stack, {"personal": "hash"})
    assert app.handler(batch(CLICK), Context()) == NONE_FAILED
    (event,) = mixpanel.visible().values()
    assert len(event["properties"]["email_address"]) == 64
    assert HMAC_KEY not in logged.getvalue() + json.dumps(event)


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        (None, f"there is no s3://data/{KEY}"),
        (b"{", "the document"),
        ({"exlude": []}, "exlude"),
        ({"hash_properties": ["url"]}, "hmac_key"),
    ],
)
def test_events_wait_while_the_rules_are_missing_or_wrong(
    stack: Stack,
    mixpanel: MixpanelStandIn,
    logged: io.StringIO,
    capsys: pytest.CaptureFixture[str],
    rules: Any,
    why: str,
) -> None:
    if rules is not None:
        put(stack, rules)
    given = batch(CLICK)
    waits = app.handler(given, Context())["batchItemFailures"]
    first = given["Records"][0]["kinesis"]["sequenceNumber"]
    assert waits == [{"itemIdentifier": first}]
    assert mixpanel.visible() == {}
    assert stack.objects("quarantine/") == []
    assert why in logged.getvalue()
    assert '"RulesUnusable":[1.0]' in capsys.readouterr().out.replace(" ", "")
    put(stack, {"drop_properties": ["email_address"]})
    assert app.handler(given, Context()) == NONE_FAILED
    assert len(mixpanel.visible()) == 1


def test_rules_are_read_once_in_a_few_minutes(
    stack: Stack, mixpanel: MixpanelStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(stack, {"exclude": [OPEN]})
    mapper = app.importer().mapper
    now = [0.0]
    monkeypatch.setattr(mapper, "_clock", lambda: now[0])
    first = mapper.get()
    put(stack, {"exclude": [CLICK]})
    now[0] = RULES_CACHE_SECONDS - 1
    assert mapper.get() is first
    now[0] = RULES_CACHE_SECONDS + 1
    second = mapper.get()
    assert second.version != first.version
    now[0] = 2 * RULES_CACHE_SECONDS + 2
    assert mapper.get() is second, "compiled mappings stay while the rules do"


def test_without_a_key_no_rules_are_looked_for(
    stack: Stack, mixpanel: MixpanelStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(stack, {"include": []})
    monkeypatch.setenv("RULES_KEY", "")
    app.importer.cache_clear()
    forget_secrets()
    assert app.handler(batch(CLICK), Context()) == NONE_FAILED
    assert len(mixpanel.visible()) == 1
