"""The stand-in Braze on exports, aliases and identify."""

from typing import Any

import pytest
import requests

from sandbox.braze import BrazeStandIn
from tests.stand_ins.calls import REST_KEY, Call, adds

EXPORT = "/users/export/ids"
FIELDS = ["external_id", "braze_id", "user_aliases", "custom_attributes"]


# Exports


def export(call: Call, **body: Any) -> requests.Response:
    return call(EXPORT, {"fields_to_export": FIELDS, **body})


def test_an_export_finds_by_every_identifier(braze: BrazeStandIn, call: Call) -> None:
    anonymous = braze.workspace.find("device", "d-1")
    assert anonymous
    alias = {"alias_label": "label", "alias_name": "a-1"}
    for question in (
        {"user_aliases": [alias]},
        {"device_id": "d-1"},
        {"braze_id": anonymous.braze_id},
    ):
        (user,) = export(call, **question).json()["users"]
        assert user == {"braze_id": anonymous.braze_id, "user_aliases": [alias]}


def test_an_export_is_matched_by_what_it_returns_and_not_by_order(call: Call) -> None:
    content = export(call, external_ids=["u-1", "nobody", "u-2"]).json()
    assert [user["external_id"] for user in content["users"]] == ["u-2", "u-1"]
    assert content["invalid_user_ids"] == ["nobody"]


def test_a_device_tells_whether_its_user_is_identified(call: Call) -> None:
    (user,) = export(call, device_id="d-3").json()["users"]
    assert user["external_id"] == "u-3"
    content = export(call, device_id="d-9").json()
    assert (content["users"], "invalid_user_ids" in content) == ([], False)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"external_ids": ["u"] * 51},
        {"external_ids": ["u"] * 50, "user_aliases": [{"alias_name": "a"}]},
        {"external_ids": [7]},
        {"device_id": "d", "phone": "+1"},
        {"device_id": 7},
        {"external_ids": ["u-1"], "fields_to_export": None},
    ],
)
def test_an_export_that_is_not_allowed_is_400(call: Call, body: dict[str, Any]) -> None:
    assert export(call, **body).status_code == 400


def test_old_accounts_get_the_whole_profile() -> None:
    with BrazeStandIn(rest_api_keys=[REST_KEY], fields_required=False) as braze:
        made = braze.workspace.add_user(external_id="u-1")
        (user,) = requests.post(
            braze.url + EXPORT,
            json={"external_ids": ["u-1"]},
            headers={"authorization": f"Bearer {REST_KEY}"},
            timeout=5,
        ).json()["users"]
    assert user["appboy_id"] == user["braze_id"] == made.braze_id


# Devices whose users log in


def test_who_logs_in_as_a_new_user_keeps_the_attributes(braze: BrazeStandIn) -> None:
    space = braze.workspace
    visitor = space.add_user(devices=["dw-1"])
    space.apply({"braze_id": visitor.braze_id, "cohorts": ["c"]})
    assert space.log_in("dw-1", "pw1") is visitor
    assert space.cohort_members("cohorts", "c") == {"pw1"}
    assert space.find("braze_id", visitor.braze_id) is visitor


def test_who_logs_in_as_a_known_user_is_merged_into_them(braze: BrazeStandIn) -> None:
    space = braze.workspace
    visitor, user = space.add_user(devices=["dw-1"]), space.add_user("pw1")
    space.apply({"braze_id": visitor.braze_id, "cohorts": ["c"]})
    assert space.log_in("dw-1", "pw1") is user
    assert space.cohort_members("cohorts", "c") == {"pw1"}
    assert space.find("braze_id", visitor.braze_id) is None
    assert space.find("device", "dw-1") is user


@pytest.mark.parametrize("known", [True, False])
def test_the_device_of_another_user_changes_hands_and_nothing_else_does(
    braze: BrazeStandIn, known: bool
) -> None:
    space = braze.workspace
    first = space.add_user("pw1", devices=["dw-1"])
    space.apply({"external_id": "pw1", "cohorts": ["c"]})
    if known:
        space.add_user("pw2")
    second = space.log_in("dw-1", "pw2")
    assert (second.external_id, second.devices, first.devices) == (
        "pw2",
        {"dw-1"},
        set(),
    )
    assert space.find("device", "dw-1") is second
    assert space.cohort_members("cohorts", "c") == {"pw1"}


# Aliases and identify


def test_an_alias_is_added_to_a_known_user_and_to_no_unknown_one(
    braze: BrazeStandIn, call: Call
) -> None:
    users = [
        {"external_id": "u-1", "alias_label": "l", "alias_name": "one"},
        {"external_id": "nobody", "alias_label": "l", "alias_name": "two"},
        {"alias_label": "l", "alias_name": "three"},
        {"external_id": "u-1", "alias_label": "l", "alias_name": "second in label"},
        {"external_id": "u-2", "alias_label": "l", "alias_name": "one"},
    ]
    answer = call("/users/alias/new", {"user_aliases": users})
    assert answer.json() == {"aliases_processed": 5, "message": "success"}
    owners = [
        braze.workspace.find("alias", f"l\0{each['alias_name']}") for each in users
    ]
    names = [owner.external_id if owner else "-" for owner in owners]
    assert names == ["u-1", "-", None, "-", "u-1"]


def identify(call: Call, external_id: str) -> requests.Response:
    alias = {"alias_label": "label", "alias_name": "a-1"}
    item = {"external_id": external_id, "user_alias": alias}
    return call("/users/identify", {"aliases_to_identify": [item]})


def test_an_anonymous_user_keeps_everything_when_identified_anew(
    braze: BrazeStandIn, call: Call, track: Call
) -> None:
    alias = {"alias_label": "label", "alias_name": "a-1"}
    track(adds("c", user_alias=alias))
    assert identify(call, "u-new").status_code == 201
    assert braze.workspace.cohort_members("cohorts", "c") == {"u-new"}


def test_a_merge_moves_only_what_the_kept_user_lacks(
    braze: BrazeStandIn, call: Call, track: Call
) -> None:
    alias = {"alias_label": "label", "alias_name": "a-1"}
    track({"user_alias": alias, "color": "red", "cohorts": ["a"]})
    track({"external_id": "u-1", "cohorts": ["b"]})
    before = len(braze.workspace.profiles)
    identify(call, "u-1")
    kept = braze.workspace.find("device", "d-1")
    assert kept
    assert kept.external_id == "u-1"
    assert kept.attributes == {"cohorts": ["b"], "color": "red"}
    assert len(braze.workspace.profiles) == before - 1
    assert identify(call, "u-2").status_code == 201, "success says nothing"
    assert braze.workspace.find("device", "d-1") is kept


@pytest.mark.parametrize("items", [None, [], [{}], [{"external_id": "u"}]])
def test_a_call_without_good_aliases_is_400(call: Call, items: Any) -> None:
    for path, key in (
        ("/users/identify", "aliases_to_identify"),
        ("/users/alias/new", "user_aliases"),
    ):
        assert call(path, {key: items}).status_code == 400
