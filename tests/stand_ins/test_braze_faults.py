"""The stand-in Braze when something goes wrong on purpose, and asked over HTTP."""

from typing import Any

import pytest
import requests

from sandbox.braze import BrazeStandIn
from sandbox.braze.faults import AFTER, BEFORE
from tests.stand_ins.calls import REST_KEY, Call, adds

TRACK = "/users/track"
EXPORT = "/users/export/ids"
STALLS = {"stall", "stall before"}
"""They take a minute; the tests of the server have one."""


@pytest.mark.parametrize("kind", sorted(set(BEFORE) - STALLS))
def test_a_fault_before_the_call_writes_nothing(
    braze: BrazeStandIn, track: Call, kind: str
) -> None:
    braze.faults.plan(kind, path=TRACK)
    if kind == "reset before":
        with pytest.raises(requests.ConnectionError):
            track(adds("c", external_id="u-1"))
    else:
        assert track(adds("c", external_id="u-1")).status_code == int(kind[:3])
    assert not braze.workspace.cohort_members("cohorts", "c")
    assert track(adds("c", external_id="u-1")).status_code == 201


@pytest.mark.parametrize("kind", sorted(set(AFTER) - STALLS))
def test_a_fault_after_the_call_leaves_it_written(
    braze: BrazeStandIn, track: Call, kind: str
) -> None:
    braze.faults.plan(kind, path=TRACK)
    if kind == "reset after":
        with pytest.raises(requests.ConnectionError):
            track(adds("c", external_id="u-1"))
    else:
        assert track(adds("c", external_id="u-1")).ok
    assert braze.workspace.cohort_members("cohorts", "c") == {"u-1"}


@pytest.mark.parametrize(
    ("kind", "header"),
    [
        ("429", "x-ratelimit-retry-after"),
        ("429 hour", "x-ratelimit-retry-after"),
        ("429 retry-after", "retry-after"),
        ("429 reset", "x-ratelimit-reset"),
        ("429 bare", ""),
    ],
)
def test_a_429_has_its_header_or_another_or_none(
    braze: BrazeStandIn, track: Call, kind: str, header: str
) -> None:
    braze.faults.plan(kind)
    content = {
        name for name in track().headers if name.lower().endswith(("-after", "-reset"))
    }
    assert content == ({header} if header else set())


@pytest.mark.parametrize(
    ("kind", "errors"),
    [
        ("errors null", None),
        ("errors empty", []),
        ("errors text", ["'external_id' must be a string"]),
        ("errors one text", "'external_id' must be a string"),
        ("errors no index", [{"type": "'external_id' must be a string"}]),
    ],
)
def test_errors_take_many_forms(
    braze: BrazeStandIn, track: Call, kind: str, errors: Any
) -> None:
    braze.faults.plan(kind)
    content = track(adds("c", external_id="u-1"), {"external_id": 7}).json()
    assert content["errors"] == errors


@pytest.mark.parametrize(
    ("kind", "status", "content"),
    [
        ("{}", 201, b"{}"),
        ("empty", 201, b""),
        ("queued", 202, b'{"message": "queued"}'),
        ("fatal message", 201, b'{"message": "something went wrong"}'),
    ],
)
def test_a_2xx_may_say_little_or_something_else(
    braze: BrazeStandIn, track: Call, kind: str, status: int, content: bytes
) -> None:
    braze.faults.plan(kind)
    answer = track(adds("c", external_id="u-1"))
    assert (answer.status_code, answer.content) == (status, content)


def test_a_fault_that_does_not_exist_is_an_error(
    braze: BrazeStandIn, call: Call
) -> None:
    with pytest.raises(ValueError, match="reset after"):
        braze.faults.plan("resets")
    for plan in ({"next": [{"kind": "resets"}]}, {"rates": {"resets": 0.1}}):
        assert call("/_stand_in/faults", plan).status_code == 400


def test_faults_are_used_up_in_order_by_their_path(
    braze: BrazeStandIn, call: Call, track: Call
) -> None:
    braze.faults.plan("503", path=EXPORT)
    braze.faults.plan("", path=TRACK)
    braze.faults.plan("502", path=TRACK)
    statuses = [track().status_code for _ in range(3)]
    assert statuses == [400, 502, 400]
    assert call(EXPORT, {}).status_code == 503


def test_shares_of_faults_are_the_same_in_every_run(call: Call) -> None:
    def statuses() -> list[int]:
        with BrazeStandIn(rest_api_keys=[REST_KEY]) as braze:
            braze.faults.rates = {"503": 0.3, "429": 0.2}
            headers = {"authorization": f"Bearer {REST_KEY}"}
            url = braze.url + TRACK
            return [
                requests.post(url, json={}, headers=headers, timeout=5).status_code
                for _ in range(30)
            ]

    first = statuses()
    assert first == statuses()
    assert set(first) == {400, 429, 503}


# Over HTTP


def test_it_can_be_inspected_and_set_over_http(braze: BrazeStandIn, call: Call) -> None:
    call("/_stand_in/users", [{"external_id": "u-9", "aliases": {"l": "n"}}])
    call(TRACK, {"attributes": [adds("c", external_id="u-9")]})
    state = requests.get(f"{braze.url}/_stand_in/state", timeout=5).json()
    assert state["users"] == 5
    assert state["attributes"] == {"u-9": {"cohorts": ["c"]}}
    assert state["calls"] == {TRACK: 1}
    call("/_stand_in/faults", {"next": [{"kind": "503", "times": 1}]})
    assert call(TRACK, {}).status_code == 503
    call("/_stand_in/reset", {})
    assert braze.state()["users"] == 0


def test_an_order_that_cannot_be_read_is_400(braze: BrazeStandIn, call: Call) -> None:
    assert call("/_stand_in/users", [{"name": "Ada"}]).status_code == 400
    assert call("/_stand_in/users", 7).status_code == 400
    url = f"{braze.url}/_stand_in/users"
    assert requests.post(url, data="no json", timeout=5).status_code == 400
