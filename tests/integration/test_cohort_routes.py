"""Both routes to Braze through the consumer's handler: the cohort is the same."""

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest

from functions.cohort_consumer import app
from functions.cohort_webhook import app as webhook
from sandbox.braze import BrazeStandIn
from tests.integration.consumer import consume, make_visible
from tests.integration.stack import (
    REST_KEY,
    Context,
    Stack,
    forget_secrets,
    sample,
)

PARTNER_KEY, IMPORT_KEY = "canary-partner-key-11", "canary-import-key-22"
KEYS = {
    "rest_api_key": REST_KEY,
    "partner_api_key": PARTNER_KEY,
    "data_import_key": IMPORT_KEY,
}
SETTINGS = {
    "array": {"COHORT_ROUTE": "attribute"},
    "boolean": {"COHORT_ROUTE": "attribute", "COHORT_FORM": "boolean"},
    "partner": {"COHORT_ROUTE": "partner"},
}

NEEDED = {
    "array": ["rest_api_key"],
    "boolean": ["rest_api_key"],
    "partner": ["partner_api_key", "data_import_key"],
}


@pytest.fixture(params=SETTINGS)
def route(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def braze(
    stack: Stack, route: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[BrazeStandIn]:
    with BrazeStandIn(
        rest_api_keys=[REST_KEY], partner_keys=[PARTNER_KEY], import_keys=[IMPORT_KEY]
    ) as running:
        monkeypatch.setenv("BRAZE_REST_ENDPOINT", running.url)
        for name, value in SETTINGS[route].items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv(
            "IDENTIFIERS", "alias:amplitude=amp,external_id=mixpanel_distinct_id"
        )
        app.consumer.cache_clear()
        store(stack, KEYS)
        webhook.webhook.cache_clear()
        monkeypatch.setattr(app.consumer().braze.transport, "_sleep", lambda _: None)
        space = running.workspace
        space.add_user(external_id="cust-1", devices=["d-known"])
        space.add_user(external_id="cust-2", aliases={"amplitude": "a-2"})
        space.add_user(aliases={"amplitude": "a-3"})
        space.add_user(devices=["d-anonymous"])
        yield running


def store(stack: Stack, keys: dict[str, str]) -> None:
    """Write the secret and let the half minute pass after which it is read again."""
    stack.secrets.put_secret_value(SecretId="braze", SecretString=json.dumps(keys))
    forget_secrets()
    app.consumer().braze.secret._refreshed_at = float("-inf")


def name_of(braze: BrazeStandIn, kind: str, value: str) -> str:
    found = braze.workspace.find(kind, value)
    assert found
    return found.name


def members(braze: BrazeStandIn, route: str) -> set[str]:
    space = braze.workspace
    if route == "partner":
        return space.partner_cohort("8120045")
    if route == "array":
        return space.cohort_members("mixpanel_cohorts", "mixpanel_8120045")
    return {
        profile.name
        for profile in space.profiles
        if profile.attributes.get("mixpanel_cohorts_8120045")
    }


def sync(action: str, session: str, *ids: str, **aliases: str) -> None:
    listed: list[dict[str, Any]] = [{"mixpanel_distinct_id": each} for each in ids]
    listed += [{"mixpanel_distinct_id": key, "amp": a} for key, a in aliases.items()]
    event = sample("cohort_webhook")
    body = json.loads(event["body"])
    body["action"] = action
    body["parameters"] |= {"members": listed, "mixpanel_session_id": session}
    answer = webhook.handler(event | {"body": json.dumps(body)}, Context())
    assert answer["statusCode"] == 200


EVERYBODY = ("cust-1", "$device:d-anonymous")


def test_r1_r4_r5_members_are_matched_by_id_by_alias_and_by_device(
    stack: Stack, braze: BrazeStandIn, route: str
) -> None:
    sync("members", "s-1", *EVERYBODY, x="a-2", y="a-3")
    assert consume(stack) == []
    assert members(braze, route) == {
        "cust-1",
        "cust-2",
        name_of(braze, "alias", "amplitude\0a-3"),
        name_of(braze, "device", "d-anonymous"),
    }


def test_r3_a_difference_joins_some_and_takes_others_out(
    stack: Stack, braze: BrazeStandIn, route: str
) -> None:
    for action, ids, aliases in (
        ("members", EVERYBODY, {}),
        ("add_members", (), {"x": "a-2"}),
        ("remove_members", EVERYBODY, {}),
    ):
        session = "full" if action == "members" else "difference"
        sync(action, session, *ids, **aliases)
        assert consume(stack) == []
    assert members(braze, route) == {"cust-2"}
    assert braze.workspace.noop_writes == 0, "R8: nothing is written in vain"


def test_r6_the_device_of_an_identified_user_is_left_alone(
    stack: Stack, braze: BrazeStandIn, route: str
) -> None:
    sync("members", "s-1", "$device:d-known")
    assert consume(stack) == []
    assert members(braze, route) == set()


def test_users_that_braze_does_not_know_are_never_created(
    stack: Stack, braze: BrazeStandIn, route: str
) -> None:
    before = len(braze.workspace.profiles)
    sync("members", "s-1", "stranger", "$device:d-strange", x="a-strange")
    assert consume(stack) == []
    assert len(braze.workspace.profiles) == before
    assert members(braze, route) == set()


@pytest.mark.parametrize(
    "fault",
    [
        "423",
        "429",
        "429 bare",
        "429 reset",
        "429 hour",
        "500",
        "503",
        "empty",
        "fatal message",
        "reset before",
        "reset after",
    ],
)
def test_a_fault_of_braze_delays_and_falsifies_nothing(
    stack: Stack, braze: BrazeStandIn, route: str, fault: str
) -> None:
    sync("members", "s-1", *EVERYBODY)
    path = "/users/track" if route != "partner" else "/partners/mixpanel/cohorts/users"
    braze.faults.plan(fault, times=2, path=path)
    for _ in range(4):
        if not consume(stack):
            break
        stack.release_brake()  # an hour passes
        make_visible(stack)
    assert len(members(braze, route)) == 2
    assert stack.objects("quarantine/") == []


def test_an_id_that_braze_rejects_keeps_no_other_out(
    stack: Stack, braze: BrazeStandIn, route: str
) -> None:
    """No more than its own place, whether or not Braze says whose fault it is."""
    braze.workspace.blocked.add("dummy")
    sync("members", "s-1", "dummy", *EVERYBODY)
    assert consume(stack) == []
    assert {"cust-1", name_of(braze, "device", "d-anonymous")} <= members(braze, route)
    assert stack.objects("quarantine/") == []


def test_no_401_shows_a_key_and_none_quarantines_a_page(
    stack: Stack, braze: BrazeStandIn, route: str, logged: io.StringIO
) -> None:
    sync("members", "s-1", *EVERYBODY)
    canaries = {name: f"canary-wrong-{name}" for name in KEYS}
    # Not enabled for this customer: that answer repeats the client secret.
    braze.partner.disabled.add(canaries["data_import_key"])
    for name in NEEDED[route]:
        store(stack, KEYS | {name: canaries[name]})
        assert len(consume(stack)) == 1
        make_visible(stack)
    assert "braze_401" in logged.getvalue()
    assert not [c for c in canaries.values() if c in logged.getvalue()]
    assert stack.objects("quarantine/") == []
    store(stack, KEYS)
    assert consume(stack) == []
    assert len(members(braze, route)) == 2


def test_a_secret_without_the_key_of_its_route_says_so_and_waits(
    stack: Stack, braze: BrazeStandIn, route: str, logged: io.StringIO
) -> None:
    sync("members", "s-1", *EVERYBODY)
    for missing in NEEDED[route]:
        store(stack, {name: key for name, key in KEYS.items() if name != missing})
        assert len(consume(stack)) == 1
        make_visible(stack)
        assert f"The Braze secret has no {missing}" in logged.getvalue()
    store(stack, {name: KEYS[name] for name in NEEDED[route]})
    assert consume(stack) == []


def test_members_are_matched_by_email_address_and_by_phone_number(
    stack: Stack, braze: BrazeStandIn, route: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of those who share an address, Braze takes one with an external id."""
    monkeypatch.setenv("IDENTIFIERS", "email=amp,phone=mixpanel_distinct_id")
    webhook.webhook.cache_clear()
    space = braze.workspace
    for name in ("ada", None, "bob"):
        space.add_user(name, email="ada@example.com" if name != "bob" else None)
    space.add_user("eve", phone="+15550100017")
    before = len(space.profiles)
    if route == "partner":
        with pytest.raises(AssertionError, match="503"):
            sync("members", "s-1", x="ada@example.com")
        # A page that came while the route was another is in the queue.
        monkeypatch.setenv("COHORT_ROUTE", "attribute")
        sync("members", "s-1", x="ada@example.com")
        assert consume(stack) == []
        assert members(braze, route) == set()
        return
    sync("members", "s-1", "+15550100017", x="ada@example.com", y="new@example.com")
    assert consume(stack) == []
    assert members(braze, route) == {"ada", "eve"}
    sync("remove_members", "s-2", "+15550100017", x="ada@example.com")
    assert consume(stack) == []
    assert members(braze, route) == set()
    assert len(space.profiles) == before
