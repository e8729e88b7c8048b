"""What changes while a process lives: rules, secrets, what it has learnt of a vendor.

A function keeps one object between its invocations. Each test goes on with the same
one; only its clock is moved.
"""

import base64
import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from bridge.cohorts.routes.devices import ANONYMOUS_SECONDS
from bridge.credentials import CACHE_SECONDS, REFRESH_SECONDS
from bridge.currents.rules_source import RULES_CACHE_SECONDS
from functions.cohort_consumer import app as consumer
from functions.cohort_webhook import app as webhook
from functions.currents_importer import app as importer
from functions.currents_receiver import app as receiver
from sandbox.braze import BrazeStandIn
from sandbox.mixpanel import MixpanelStandIn
from tests.integration.importer import (
    NONE_FAILED,
    batch,
    failed,
    kept,
    mixpanel,
    source,
)
from tests.integration.stack import (
    PASSWORD,
    PROJECT_TOKEN,
    REGION,
    TOKEN,
    Context,
    Stack,
    logged,
    sample,
    stack,
)
from tests.integration.test_cohort_consumer import (
    VALUE,
    accept,
    braze,
    consume,
    make_visible,
)

__all__ = ["braze", "logged", "mixpanel", "stack"]

RULES = "rules/currents.json"
CLICK, OPEN = "users.messages.email.Click", "users.messages.email.Open"
HMAC_KEY = "canary-hmac-key-0123"


class Clock:
    """Stands where a monotonic clock does."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


# Rules


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
    for held in (importer.importer().mapper, importer.importer().secret):
        monkeypatch.setattr(held, "_clock", clock)
    put({"exclude": [OPEN]})
    deliver(CLICK, OPEN)
    assert names(mixpanel) == ["Email Click"]
    return put


def deliver(*event_types: str) -> bool:
    """Whether the events were taken."""
    made = source()
    answer = importer.handler(batch([made.event(e) for e in event_types]), Context())
    return not failed(answer)


def names(mixpanel: MixpanelStandIn) -> list[str]:
    return [each["event"] for each in mixpanel.events]


@pytest.mark.parametrize("broken", [None, b"{", {"exlude": []}])
def test_rules_that_break_while_warm_make_events_wait_until_they_are_mended(
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
    assert names(mixpanel) == ["Email Click"] * 2
    assert kept(stack) == []
    ruled({"exclude": [CLICK]})
    assert deliver(CLICK, OPEN)
    assert names(mixpanel) == ["Email Click", "Email Click", "Email Open"]


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
    assert names(mixpanel) == ["Email Click"] * 2


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


# Secrets


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
    ("name", "function", "call", "old", "secret"),
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
    function: Any,
    call: Callable[[str], int],
    old: str,
    secret: str,
) -> None:
    def rotate(password: str) -> None:
        changed = json.dumps({"username": "mixpanel", secret: password})
        stack.secrets.put_secret_value(SecretId=name, SecretString=changed)

    function.cache_clear()
    monkeypatch.setattr(function().secret, "_clock", clock)
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


def test_a_warm_importer_takes_new_credentials_at_the_first_refusal(
    stack: Stack, mixpanel: MixpanelStandIn, logged: io.StringIO
) -> None:
    assert deliver(CLICK)
    mixpanel.credentials.singles = {"canary-new-token"}
    rotated = json.dumps({"project_token": "canary-new-token"})
    stack.secrets.put_secret_value(SecretId="mixpanel", SecretString=rotated)
    assert deliver(OPEN)
    assert names(mixpanel) == ["Email Click", "Email Open"]
    assert "canary-new-token" not in logged.getvalue()


def test_after_a_refusal_a_warm_process_looks_again_within_half_a_minute(
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
    assert not deliver(OPEN), "Secrets Manager is not asked at each refusal"
    clock.now += 1
    assert deliver(OPEN)
    assert kept(stack) == []


# What is learnt of the vendors


def test_a_size_that_mixpanel_refused_is_not_tried_again(
    stack: Stack, mixpanel: MixpanelStandIn
) -> None:
    mixpanel.faults.plan("413")
    made = source()
    calls = []
    for _ in range(2):
        events = [made.event() for _ in range(30)]
        for event in events:
            event["properties"]["url"] = "x" * 100_000
        assert importer.handler(batch(events), Context(300)) == NONE_FAILED
        calls.append(mixpanel.calls["/import"])
    assert calls == [3, 5], "once too large and then in halves, then in halves at once"
    assert len(mixpanel.visible()) == 60


@pytest.mark.parametrize("broken", ["transport", "mapper", "quarantine"])
def test_an_importer_goes_on_after_an_invocation_that_failed(
    stack: Stack,
    mixpanel: MixpanelStandIn,
    monkeypatch: pytest.MonkeyPatch,
    broken: str,
) -> None:
    held = importer.importer()
    event = batch([source().event(), source().event(OPEN)], b"poison")
    owner, name = {
        "transport": (held.transport, "post"),
        "mapper": (held.mapper, "get"),
        "quarantine": (held.quarantine, "put"),
    }[broken]
    with monkeypatch.context() as breaking:
        breaking.setattr(owner, name, lambda *_, **__: 1 // 0)
        assert failed(importer.handler(event, Context())) == ["1000"]
    for _ in range(2):
        assert importer.handler(event, Context()) == NONE_FAILED
    assert importer.importer() is held
    assert len(mixpanel.visible()) == 2
    assert [item.original for item in kept(stack)] == [b"poison"]


def test_a_consumer_leaves_braze_in_peace_until_the_hour_that_it_asked_for_is_over(
    stack: Stack, braze: BrazeStandIn, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    monkeypatch.setattr(consumer.consumer().transport, "_clock", clock)
    accept("cohort_webhook")
    braze.faults.plan("429 hour", path="/users/track")
    for passing in (0, 3_500):
        clock.now += passing
        make_visible(stack)
        assert len(consume(stack, 30.0)) == 1
        assert braze.workspace.cohort_members(*VALUE) == set()
    clock.now += 100
    make_visible(stack)
    assert consume(stack, 30.0) == []
    assert len(braze.workspace.cohort_members(*VALUE)) == 3


def test_a_device_is_looked_up_again_when_its_owner_may_have_logged_in(
    stack: Stack, braze: BrazeStandIn, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    """R6: from then on it is the device of an identified user."""
    monkeypatch.setattr(consumer.consumer().devices, "_clock", clock)
    visitor = braze.workspace.add_user(devices=["d-7"])
    members = [{"mixpanel_distinct_id": "$device:d-7"}]
    written = []
    for cohort, seconds in (("1", 0.0), ("2", ANONYMOUS_SECONDS - 1), ("3", 1.0)):
        clock.now += seconds
        accept("cohort_webhook", mixpanel_cohort_id=cohort, members=members)
        assert consume(stack) == []
        attribute, _ = VALUE
        if braze.workspace.cohort_members(attribute, f"mixpanel_{cohort}"):
            written.append(cohort)
        braze.workspace.identify(visitor, "cust-7")
    assert written == ["1", "2"]
