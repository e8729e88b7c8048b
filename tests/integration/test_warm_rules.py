"""A warm importer while the customer's rules change, break, or cannot be read."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from bridge.credentials import CACHE_SECONDS
from bridge.currents.rules_source import RULES_CACHE_SECONDS
from functions.currents_importer import app as importer
from sandbox.mixpanel import MixpanelStandIn
from tests.integration.clock import Clock
from tests.integration.importer import (
    CLICK,
    NONE_FAILED,
    OPEN,
    batch,
    deliver,
    event_names,
    quarantined_events,
    source,
)
from tests.integration.stack import (
    PROJECT_TOKEN,
    REGION,
    Context,
    Stack,
)

RULES = "rules/currents.json"
HMAC_KEY = "canary-hmac-key-0123"


@pytest.fixture
def ruled(
    stack: Stack,
    mixpanel: MixpanelStandIn,
    monkeypatch: pytest.MonkeyPatch,
    clock: Clock,
) -> Callable[[Any], None]:
    """A warm importer under rules; writes the rules anew."""

    def put(rules: Any) -> None:
        body = rules if isinstance(rules, bytes) else json.dumps(rules).encode()
        stack.s3.put_object(Bucket=stack.bucket, Key=RULES, Body=body)

    monkeypatch.setenv("RULES_KEY", RULES)
    importer.importer.cache_clear()
    for cached in (importer.importer().mapper, importer.importer().secret):
        monkeypatch.setattr(cached, "_clock", clock)
    put({"exclude": [OPEN]})
    deliver(CLICK, OPEN)
    assert event_names(mixpanel) == ["Email Click"]
    return put


@pytest.mark.parametrize("broken", [None, b"{", {"exlude": []}])
def test_rules_that_break_while_warm_defer_events_until_they_are_mended(
    stack: Stack,
    mixpanel: MixpanelStandIn,
    clock: Clock,
    ruled: Callable[[Any], None],
    broken: Any,
) -> None:
    if broken is None:
        stack.s3.delete_object(Bucket=stack.bucket, Key=RULES)
    else:
        ruled(broken)
    clock.now += RULES_CACHE_SECONDS - 1
    assert deliver(CLICK, OPEN), "they are not looked at yet"
    clock.now += 1
    for _ in range(2):
        assert not deliver(CLICK, OPEN), "nor does the second look go by the old ones"
    assert event_names(mixpanel) == ["Email Click"] * 2
    assert quarantined_events(stack) == []
    ruled({"exclude": [CLICK]})
    assert deliver(CLICK, OPEN)
    assert event_names(mixpanel) == ["Email Click", "Email Click", "Email Open"]


def test_events_wait_while_the_rules_cannot_be_read_again(
    stack: Stack,
    mixpanel: MixpanelStandIn,
    clock: Clock,
    ruled: Callable[[Any], None],
) -> None:
    clock.now += RULES_CACHE_SECONDS
    stack.s3.delete_object(Bucket=stack.bucket, Key=RULES)
    stack.s3.delete_bucket(Bucket=stack.bucket)
    assert not deliver(CLICK)
    location: Any = {"LocationConstraint": REGION}
    stack.s3.create_bucket(Bucket=stack.bucket, CreateBucketConfiguration=location)
    ruled({})
    assert deliver(CLICK)
    assert event_names(mixpanel) == ["Email Click"] * 2


def test_another_key_hashes_otherwise_though_the_rules_stay(
    stack: Stack,
    mixpanel: MixpanelStandIn,
    clock: Clock,
    ruled: Callable[[Any], None],
) -> None:
    ruled({"hash_properties": ["url"]})
    hashes = []
    for key in (HMAC_KEY, HMAC_KEY[::-1]):
        login = {"project_token": PROJECT_TOKEN, "hmac_key": key}
        stack.secrets.put_secret_value(
            SecretId="mixpanel", SecretString=json.dumps(login)
        )
        clock.now += CACHE_SECONDS
        event = source().event(CLICK) | {"id": key[:8]}
        event["properties"]["url"] = "https://example.org"
        assert importer.handler(batch(event), Context()) == NONE_FAILED
        hashes.append(mixpanel.events[-1]["properties"]["url"])
    assert len({*hashes, "https://example.org"}) == 3
