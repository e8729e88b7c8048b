"""The stand-in Braze around its objects: the order of its checks, its rate limits."""

import pytest
import requests

from sandbox.braze import BrazeStandIn, RateLimit
from sandbox.braze.rate_limits import RateWindows
from scripts import scaling_page
from tests.stand_ins.calls import NOW, REST_KEY, Call

TRACK = "/users/track"
EXPORT = "/users/export/ids"
HEADERS = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")


# The order of checks: what is wrong in two ways is rejected for the first


def test_the_path_comes_first(braze: BrazeStandIn, call: Call) -> None:
    assert call("/users/tracks", {}, key="wrong").status_code == 404
    assert call("/partners/mixpanel", {}).status_code == 404
    assert call("/partners//cohorts", {}).status_code == 404


def test_a_trailing_slash_is_403(call: Call) -> None:
    assert call("/users/track/", {}).status_code == 403


def test_then_the_method(braze: BrazeStandIn) -> None:
    assert requests.get(braze.url + TRACK, timeout=5).status_code == 405


def test_then_the_media_type(braze: BrazeStandIn) -> None:
    for headers in ({}, {"content-type": "text/plain"}):
        answer = requests.post(
            braze.url + TRACK, data=b"x" * 4_000_001, headers=headers, timeout=5
        )
        assert answer.status_code == 415


def test_then_the_size(braze: BrazeStandIn) -> None:
    headers = {"content-type": "application/json"}
    for path, size, status in (
        (TRACK, 4_000_001, 413),
        (TRACK, 4_000_000, 401),
        ("/users/track/bulk", 2_000_001, 400),
        ("/users/track/bulk", 2_000_000, 401),
    ):
        body = b"x" * size
        answer = requests.post(braze.url + path, data=body, headers=headers, timeout=5)
        assert answer.status_code == status


def test_then_the_key_which_the_answer_repeats(call: Call) -> None:
    answer = call(TRACK, {}, key="canary")
    assert answer.status_code == 401
    assert answer.json() == {"message": "Invalid API key: canary"}
    assert [answer.headers[name] for name in HEADERS] == ["", "", ""]


def test_then_the_permission(braze: BrazeStandIn, call: Call) -> None:
    braze.keys[REST_KEY] = {"users.track"}
    assert call(EXPORT, {}).status_code == 403
    assert call(TRACK, {}).status_code == 400


def test_then_the_rate_and_only_then_the_json() -> None:
    with BrazeStandIn(
        rest_api_keys=[REST_KEY], limits={TRACK: RateLimit(1, 30)}
    ) as braze:
        headers = {"authorization": f"Bearer {REST_KEY}"}
        headers["content-type"] = "application/json"
        answers = [
            requests.post(braze.url + TRACK, data=b"{", headers=headers, timeout=5)
            for _ in range(2)
        ]
    assert [answer.status_code for answer in answers] == [400, 429]
    text = "Error while parsing request body. Please check your syntax."
    assert answers[0].json() == {"error": text}


@pytest.mark.parametrize("body", [b"[" * 100_000, b"[]", b"\xff", b"1", b""])
def test_what_is_no_json_object_is_rejected(braze: BrazeStandIn, body: bytes) -> None:
    headers = {"authorization": f"Bearer {REST_KEY}"}
    headers["content-type"] = "application/json; charset=utf-8"
    answer = requests.post(braze.url + TRACK, data=body, headers=headers, timeout=5)
    assert answer.status_code == 400
    assert "error" in answer.json()


# Rate limits


@pytest.mark.parametrize(("epoch", "reset"), [(True, int(NOW) + 30), (False, 30)])
def test_the_end_of_the_window_is_an_epoch_or_the_seconds_left(
    epoch: bool, reset: int
) -> None:
    with BrazeStandIn(
        rest_api_keys=[REST_KEY],
        limits={TRACK: RateLimit(5, 30)},
        epoch_reset=epoch,
        clock=lambda: NOW,
    ) as braze:
        headers = {"authorization": f"Bearer {REST_KEY}"}
        url = braze.url + TRACK
        answer = requests.post(url, json={}, headers=headers, timeout=5)
    assert [answer.headers[name] for name in HEADERS] == ["5", "4", str(reset)]


def test_a_429_says_how_long_to_wait_and_nothing_else() -> None:
    with BrazeStandIn(
        rest_api_keys=[REST_KEY],
        limits={TRACK: RateLimit(1, 30)},
        clock=lambda: NOW + 10,
    ) as braze:
        headers = {"authorization": f"Bearer {REST_KEY}"}
        url = braze.url + TRACK
        requests.post(url, json={}, headers=headers, timeout=5)
        second = requests.post(url, json={}, headers=headers, timeout=5)
    assert second.status_code == 429
    assert second.headers["x-ratelimit-retry-after"] == "21"
    assert not set(HEADERS) & set(second.headers)


def test_windows_follow_the_clock_and_do_not_roll() -> None:
    times = iter([NOW, NOW + 29, NOW + 29.5, NOW + 30])
    with BrazeStandIn(
        rest_api_keys=[REST_KEY],
        limits={TRACK: RateLimit(2, 30)},
        clock=lambda: next(times),
    ) as braze:
        headers = {"authorization": f"Bearer {REST_KEY}"}
        url = braze.url + TRACK
        statuses = [
            requests.post(url, json={}, headers=headers, timeout=5).status_code
            for _ in range(4)
        ]
    assert statuses == [400, 400, 429, 400]


def test_aliases_and_identify_share_a_limit_and_track_has_its_own(
    braze: BrazeStandIn, call: Call
) -> None:
    def left(path: str) -> int:
        return int(call(path, {}).headers["x-ratelimit-remaining"])

    assert left("/users/identify") == 19_999
    assert left("/users/alias/new") == 19_998
    assert left(TRACK) == 2_999


def test_look_ups_have_the_limit_that_the_scaling_page_reckons_with() -> None:
    windows = RateWindows({}, lambda: NOW + next(seconds), epoch_reset=True)
    a_minute = scaling_page.BRAZE_LOOK_UPS
    seconds = iter([0.0] * (a_minute + 1) + [59.0, 60.0])
    within = [windows.count(EXPORT)[0] for _ in range(a_minute + 3)]
    assert within == [True] * a_minute + [False, False, True]
    assert f"Braze allows {a_minute} a minute" in scaling_page.PAGE.read_text()
