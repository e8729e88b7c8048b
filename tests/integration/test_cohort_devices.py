"""Rule 14: who joined as a device leaves the cohort, whoever they have become since."""

from collections.abc import Callable

import pytest

from functions.cohort_consumer import app as consumer
from sandbox.braze import BrazeStandIn
from tests.integration.consumer import COHORT, accept, consume, make_visible
from tests.integration.stack import Stack

EXPORT = "/users/export/ids"
DEVICE = "$device:dw-1"
USER = "pw1"


def sync(stack: Stack, action: str, session: str, *ids: str) -> None:
    """One page, carried out by a process that knows nothing of those before."""
    consumer.consumer.cache_clear()
    members = [{"mixpanel_distinct_id": each} for each in ids]
    accept("cohort_webhook", action, members=members, mixpanel_session_id=session)
    assert consume(stack) == []


def members(braze: BrazeStandIn) -> set[str]:
    return braze.workspace.cohort_members(*COHORT)


@pytest.fixture(params=["as a new user", "as a known user"])
def log_in(braze: BrazeStandIn, request: pytest.FixtureRequest) -> Callable[[], None]:
    """The visitor `dw-1` exists; logs in as `pw1`."""
    if request.param == "as a known user":
        braze.workspace.add_user(USER)
    braze.workspace.add_user(devices=["dw-1"])

    def visitor_logs_in() -> None:
        braze.workspace.log_in("dw-1", USER)
        assert members(braze) == {USER}

    return visitor_logs_in


def test_a_difference_takes_out_who_has_logged_in_since(
    stack: Stack, braze: BrazeStandIn, log_in: Callable[[], None]
) -> None:
    sync(stack, "members", "s-1", DEVICE)
    log_in()
    sync(stack, "remove_members", "s-2", DEVICE)
    assert members(braze) == set()


def test_a_full_sync_without_the_device_takes_out_who_has_logged_in_since(
    stack: Stack, braze: BrazeStandIn, log_in: Callable[[], None]
) -> None:
    sync(stack, "members", "s-1", DEVICE)
    log_in()
    sync(stack, "members", "s-2", "cust-00017")
    for _ in ("measurement", "rescan"):
        assert consume(stack) == []
    assert members(braze) == {"cust-00017"}


def test_a_reassertion_that_braze_does_not_need_keeps_nobody_in(
    stack: Stack,
    braze: BrazeStandIn,
    log_in: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A user's device is rejected for good when it is added, not when it leaves."""
    monkeypatch.setattr("bridge.cohorts.apply.page.FRESH_MS", 0)
    sync(stack, "members", "s-1", DEVICE)
    log_in()
    sync(stack, "members", "s-2", DEVICE)
    assert members(braze) == {USER}
    sync(stack, "remove_members", "s-3", DEVICE)
    assert members(braze) == set()


def test_who_is_a_member_as_a_user_too_stays_in(
    stack: Stack, braze: BrazeStandIn, log_in: Callable[[], None]
) -> None:
    sync(stack, "members", "s-1", DEVICE)
    log_in()
    sync(stack, "add_members", "s-2", USER)
    sync(stack, "remove_members", "s-2", DEVICE)
    assert members(braze) == {USER}
    sync(stack, "remove_members", "s-3", USER)
    assert members(braze) == set()


def test_a_visitor_leaves_whose_device_has_gone_to_another_user(
    stack: Stack, braze: BrazeStandIn
) -> None:
    """Braze keeps the profile under its own id; the other user is a member as such."""
    braze.workspace.add_user(devices=["dw-1"])
    braze.workspace.add_user("other")
    sync(stack, "members", "s-1", DEVICE, "other")
    braze.workspace.log_in("dw-1", USER)
    braze.workspace.log_in("dw-1", "other")
    assert members(braze) == {USER, "other"}
    sync(stack, "remove_members", "s-2", DEVICE)
    assert members(braze) == {"other"}


@pytest.mark.parametrize("action", ["members", "remove_members"])
def test_a_page_of_more_look_ups_than_braze_allows_makes_headway_in_each_try(
    stack: Stack,
    braze: BrazeStandIn,
    monkeypatch: pytest.MonkeyPatch,
    action: str,
) -> None:
    """However often its process is replaced: those done are not looked up again."""
    devices = [f"$device:d-{number}" for number in range(20)]
    for device in devices:
        braze.workspace.add_user(devices=[device.removeprefix("$device:")])
    if action == "remove_members":
        sync(stack, "members", "s-1", *devices)
    monkeypatch.setenv("BRAZE_CALLS_AT_A_TIME", "1")
    people = [{"mixpanel_distinct_id": each} for each in devices]
    accept("cohort_webhook", action, members=people, mixpanel_session_id="s-2")
    before = braze.workspace.calls[EXPORT]
    tries, failed = 0, ["s-2"]
    while failed and tries < 9:
        consumer.consumer.cache_clear()
        stack.release_brake()
        braze.faults.clear()
        braze.faults.plan("", times=6, path=EXPORT)
        braze.faults.plan("429 hour", path=EXPORT)
        tries, failed = tries + 1, consume(stack)
        make_visible(stack)
    assert (tries, braze.workspace.calls[EXPORT] - before) == (4, 23)
    assert len(members(braze)) == (20 if action == "members" else 0)
