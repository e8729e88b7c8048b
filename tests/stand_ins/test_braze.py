"""The stand-in Braze keeps to what Braze documents."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from sandbox.braze import BrazeStandIn

KEY = "rest-key"
type Call = Callable[..., requests.Response]


@pytest.fixture
def braze() -> Iterator[BrazeStandIn]:
    with BrazeStandIn(
        rest_api_keys=[KEY], partner_keys=["pk"], import_keys=["dik"]
    ) as running:
        for user in ("u-1", "u-2"):
            running.workspace.add_user(external_id=user)
        running.workspace.add_user(aliases={"label": "a-1"}, devices=["d-1"])
        running.workspace.add_user(external_id="u-3", devices=["d-3"])
        yield running


@pytest.fixture
def call(braze: BrazeStandIn) -> Call:
    def post(path: str, body: Any, key: str = KEY, **options: Any) -> requests.Response:
        headers = {"authorization": f"Bearer {key}"}
        return requests.post(
            braze.url + path, json=body, headers=headers, timeout=5, **options
        )

    return post


def track(call: Call, *attributes: Any) -> requests.Response:
    return call("/users/track", {"attributes": list(attributes)})


def adds(value: str, **user: Any) -> dict[str, Any]:
    return {**user, "_update_existing_only": True, "cohorts": {"add": [value]}}


def test_membership_is_added_and_removed(braze: BrazeStandIn, call: Call) -> None:
    alias = {"alias_label": "label", "alias_name": "a-1"}
    answer = track(call, adds("c", external_id="u-1"), adds("c", user_alias=alias))
    assert answer.status_code == 201
    assert answer.json()["attributes_processed"] == 2
    anonymous = braze.workspace.find("device", "d-1")
    assert anonymous
    members = braze.workspace.cohort_members("cohorts", "c")
    assert members == {"u-1", anonymous.braze_id}
    track(call, {"external_id": "u-1", "cohorts": {"remove": ["c"]}})
    assert "u-1" not in braze.workspace.cohort_members("cohorts", "c")


def test_unknown_users_are_created_only_where_that_is_not_forbidden(
    braze: BrazeStandIn, call: Call
) -> None:
    before = len(braze.workspace.profiles)
    assert track(call, adds("c", external_id="new")).status_code == 201
    assert len(braze.workspace.profiles) == before
    track(call, {"external_id": "new", "cohorts": {"add": ["c"]}})
    assert len(braze.workspace.profiles) == before + 1


def test_writes_in_vain_are_counted_and_billed(braze: BrazeStandIn, call: Call) -> None:
    for _ in range(3):
        track(call, adds("c", external_id="u-1"))
    assert (braze.workspace.noop_writes, braze.workspace.data_points) == (2, 3)


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"external_id": "a", "braze_id": "b"},
        {"external_id": "x" * 988},
        {"user_alias": {"alias_name": "x" * 237, "alias_label": "l"}},
        {"user_alias": {"alias_name": "x"}},
    ],
)
def test_a_bad_object_is_refused_by_index_and_the_others_go_on(
    call: Call, item: dict[str, Any]
) -> None:
    answer = track(call, adds("c", external_id="u-1"), item)
    assert answer.status_code == 201
    (error,) = answer.json()["errors"]
    assert (error["index"], error["input_array"]) == (1, "attributes")
    assert track(call, item).status_code == 400


def test_limits_are_in_bytes_and_objects(call: Call) -> None:
    assert track(call, adds("c", external_id="é" * 493)).status_code == 201
    assert track(call, adds("c", external_id="é" * 494)).status_code == 400
    assert track(call, *[adds("c", external_id="u-1")] * 75).status_code == 201
    too_many = track(call, *[adds("c", external_id="u-1")] * 76)
    assert too_many.json() == {"message": "Max Input Length Exceeded"}


def test_arrays_keep_500_values_and_move_what_is_added_again(
    braze: BrazeStandIn, call: Call
) -> None:
    for number in range(501):
        braze.workspace.apply(adds(f"c{number}", external_id="u-1"))
    profile = braze.workspace.find("external_id", "u-1")
    assert profile
    values = profile.attributes["cohorts"]
    assert (len(values), values[0]) == (500, "c1")
    track(call, adds("c1", external_id="u-1"))
    assert profile.attributes["cohorts"][-1] == "c1"


def test_checks_come_in_the_documented_order(braze: BrazeStandIn, call: Call) -> None:
    wrong = call("/users/track", {}, key="canary")
    assert wrong.status_code == 401
    assert wrong.json() == {"message": "Invalid API key: canary"}
    assert wrong.headers["x-ratelimit-limit"] == ""
    assert call("/users/tracks", {}).status_code == 404
    braze.keys[KEY] = set()
    assert call("/users/track", {}).status_code == 403
    text = requests.post(braze.url + "/users/track", data="{}", timeout=5)
    assert text.status_code == 415


def test_the_rate_limit_says_how_long_to_wait() -> None:
    with BrazeStandIn(rest_api_keys=[KEY], limit=1, window=30) as braze:
        headers = {"authorization": f"Bearer {KEY}"}
        url = braze.url + "/users/track"
        first, second = (
            requests.post(url, json={}, headers=headers, timeout=5) for _ in range(2)
        )
        assert first.headers["x-ratelimit-remaining"] == "0"
        assert second.status_code == 429
        assert 0 < int(second.headers["x-ratelimit-retry-after"]) <= 31
        assert "x-ratelimit-limit" not in second.headers


def test_devices_are_looked_up_one_at_a_time(call: Call) -> None:
    fields = ["external_id", "braze_id"]
    body = {"device_id": "d-3", "fields_to_export": fields}
    (user,) = call("/users/export/ids", body).json()["users"]
    assert user["external_id"] == "u-3"
    unknown = {"device_id": "d-9", "fields_to_export": fields}
    assert call("/users/export/ids", unknown).json()["users"] == []


PARTNER = {"partner_api_key": "pk", "client_secret": "dik", "cohort_id": "7"}


def test_the_partner_route_follows_its_own_rules(
    braze: BrazeStandIn, call: Call
) -> None:
    named = PARTNER | {"name": "Trial", "created_at": "2031-04-05T06:07:08Z"}
    assert call("/partners/mixpanel/cohorts", named).status_code == 201
    changes = [
        {"user_ids": ["u-1", "nobody"], "device_ids": ["d-1", "d-3"]},
        {"user_ids": ["u-2"], "should_remove": True},
    ]
    path = "/partners/mixpanel/cohorts/users"
    assert call(path, PARTNER | {"cohort_changes": changes}).status_code == 201
    members = braze.workspace.cohorts["7"].members
    anonymous = braze.workspace.find("device", "d-1")
    assert anonymous
    assert members == {"u-1", anonymous.braze_id}, "d-3 belongs to an identified user"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"partner_api_key": "x"}, 401),
        ({"client_secret": "x"}, 401),
        ({"cohort_id": 7}, 400),
        ({"cohort_changes": [{}]}, 400),
        ({"cohort_changes": [{"user_ids": ["u"] * 1001}]}, 400),
    ],
)
def test_a_bad_partner_call_is_refused(
    call: Call, change: dict[str, Any], status: int
) -> None:
    body = PARTNER | {"cohort_changes": []} | change
    assert call("/partners/mixpanel/cohorts/users", body).status_code == status


@pytest.mark.parametrize("kind", ["429", "429 bare", "500", "502", "503", "504", "423"])
def test_faults_on_demand(braze: BrazeStandIn, call: Call, kind: str) -> None:
    braze.faults.plan(kind, path="/users/track")
    assert track(call, adds("c", external_id="u-1")).status_code == int(kind[:3])
    assert track(call, adds("c", external_id="u-1")).status_code == 201


@pytest.mark.parametrize(("kind", "applied"), [("reset before", 0), ("reset after", 1)])
def test_a_reset_before_or_after_the_write(
    braze: BrazeStandIn, call: Call, kind: str, applied: int
) -> None:
    braze.faults.plan(kind)
    with pytest.raises(requests.ConnectionError):
        track(call, adds("c", external_id="u-1"))
    assert len(braze.workspace.cohort_members("cohorts", "c")) == applied


def test_it_can_be_asked_and_told_over_http(braze: BrazeStandIn, call: Call) -> None:
    track(call, adds("c", external_id="u-1"))
    state = requests.get(f"{braze.url}/_stand_in/state", timeout=5).json()
    assert state["attributes"] == {"u-1": {"cohorts": ["c"]}}
    call("/_stand_in/faults", {"next": [{"kind": "503", "times": 1}]})
    assert track(call, adds("c", external_id="u-1")).status_code == 503
