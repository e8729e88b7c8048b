"""The stand-in Braze on the partner's cohort import, rule by rule."""

from typing import Any

import pytest

from sandbox.braze import BrazeStandIn
from tests.stand_ins.calls import Call

NAME = "/partners/mixpanel/cohorts"
USERS = "/partners/mixpanel/cohorts/users"
ACCESS = {"partner_api_key": "pk", "client_secret": "dik", "cohort_id": "7"}
NAMED = ACCESS | {"name": "Trial", "created_at": "2031-04-05T06:07:08Z"}


def change(call: Call, *changes: Any, **other: Any) -> int:
    return call(USERS, ACCESS | {"cohort_changes": list(changes)} | other).status_code


def test_users_are_matched_by_external_id_alias_and_anonymous_device(
    braze: BrazeStandIn, call: Call
) -> None:
    anonymous = braze.workspace.find("device", "d-1")
    assert anonymous
    alias = {"alias_name": "a-1", "alias_label": "label"}
    assert change(call, {"user_ids": ["u-1", "nobody"]}) == 201
    assert change(call, {"aliases": [alias]}) == 201
    assert braze.workspace.partner_cohort("7") == {"u-1", anonymous.braze_id}
    assert change(call, {"device_ids": ["d-1"], "should_remove": True}) == 201
    assert braze.workspace.partner_cohort("7") == {"u-1"}
    assert braze.workspace.unknown_users == 1


def test_the_device_of_an_identified_user_matches_nobody(
    braze: BrazeStandIn, call: Call
) -> None:
    change(call, {"device_ids": ["d-3"]})
    assert braze.workspace.partner_cohort("7") == set()
    assert len(braze.workspace.profiles) == 4, "and nobody is made"


def test_adds_and_removals_go_in_one_call(braze: BrazeStandIn, call: Call) -> None:
    change(call, {"user_ids": ["u-1"]})
    change(call, {"user_ids": ["u-2"]}, {"user_ids": ["u-1"], "should_remove": True})
    assert braze.workspace.partner_cohort("7") == {"u-2"}


def test_every_assignment_is_billed_in_vain_or_not(
    braze: BrazeStandIn, call: Call
) -> None:
    for _ in range(2):
        change(call, {"user_ids": ["u-1", "u-2"]})
    assert (braze.workspace.data_points, braze.workspace.noop_writes) == (4, 2)


def test_a_cohort_is_named_and_renamed(braze: BrazeStandIn, call: Call) -> None:
    assert call(NAME, NAMED).status_code == 201
    change(call, {"user_ids": ["u-1"]})
    offset = {"created_at": "2031-04-05T06:07:08+02:00"}
    assert call(NAME, NAMED | {"name": "Trial, week 2"} | offset).status_code == 201
    assert braze.workspace.cohorts["7"].name == "Trial, week 2"
    assert braze.workspace.partner_cohort("7") == {"u-1"}


def test_a_cohort_without_a_name_shows_its_id_unless_a_name_is_asked_for(
    braze: BrazeStandIn, call: Call
) -> None:
    assert change(call, {"user_ids": ["u-1"]}) == 201
    assert braze.workspace.cohorts["7"].name == "7"
    braze.partner.naming_first = True
    assert change(call, {"user_ids": ["u-1"]}, cohort_id="8") == 400


def test_1000_ids_over_all_changes_and_kinds(call: Call) -> None:
    ids = [f"u{number}" for number in range(500)]
    alias = {"alias_name": "a", "alias_label": "l"}
    two = ({"user_ids": ids}, {"device_ids": ids[1:], "aliases": [alias]})
    assert change(call, *two) == 201
    assert change(call, *two, {"user_ids": ["one more"]}) == 400


def test_a_check_of_the_keys_has_no_changes(call: Call) -> None:
    assert change(call) == 201
    assert change(call, {"user_ids": [], "device_ids": [], "aliases": []}) == 201


@pytest.mark.parametrize(
    ("broken", "status", "text"),
    [
        ({"partner_api_key": "x"}, 401, "Invalid Partner API key"),
        ({"partner_api_key": None}, 401, "Invalid Partner API key"),
        ({"client_secret": "x"}, 401, "Invalid client secret"),
        ({"cohort_id": 7}, 400, "cohort_id must be a valid string"),
        ({"cohort_id": ""}, 400, "cohort_id must be a valid string"),
        ({"cohort_changes": None}, 400, "cohort_changes must be an array"),
        ({"cohort_changes": [{}]}, 400, "cohort_changes must be an array"),
        ({"cohort_changes": [{"user_ids": "u"}]}, 400, "cohort_changes must be"),
        ({"cohort_changes": [{"user_ids": [7]}]}, 400, "cohort_changes must be"),
        ({"cohort_changes": [{"aliases": ["a"]}]}, 400, "cohort_changes must be"),
    ],
)
def test_a_bad_change_is_rejected_with_the_documented_text(
    call: Call, broken: dict[str, Any], status: int, text: str
) -> None:
    answer = call(USERS, ACCESS | {"cohort_changes": []} | broken)
    assert answer.status_code == status
    assert answer.json()["message"].startswith(text)


@pytest.mark.parametrize(
    ("broken", "text"),
    [
        ({"name": ""}, "name must be a non-empty string"),
        ({"name": 7}, "name must be a non-empty string"),
        ({"created_at": "yesterday"}, "created_at must be a valid time"),
        ({"created_at": 7}, "created_at must be a valid time"),
    ],
)
def test_a_bad_name_is_rejected_with_the_documented_text(
    call: Call, broken: dict[str, Any], text: str
) -> None:
    answer = call(NAME, NAMED | broken)
    assert answer.status_code == 400
    assert answer.json()["message"].startswith(text)


def test_a_customer_who_has_not_enabled_the_partner_is_answered_with_the_secret(
    braze: BrazeStandIn, call: Call
) -> None:
    braze.partner.disabled.add("dik")
    answer = call(USERS, ACCESS | {"cohort_changes": []})
    assert answer.status_code == 401
    assert answer.json()["message"].endswith("client secret: dik")


def test_the_key_of_the_error_text_is_a_switch(braze: BrazeStandIn, call: Call) -> None:
    braze.partner.error_key = "error"
    assert list(call(USERS, {}).json()) == ["error"]


def test_a_locked_cohort_is_423(braze: BrazeStandIn, call: Call) -> None:
    braze.faults.plan("423", path=USERS)
    assert change(call, {"user_ids": ["u-1"]}) == 423
    assert braze.workspace.partner_cohort("7") == set()


def test_a_merged_user_is_no_member_any_more(braze: BrazeStandIn, call: Call) -> None:
    """Written by device before the log-in, it must be written again after it."""
    change(call, {"device_ids": ["d-1"]})
    alias = {"alias_name": "a-1", "alias_label": "label"}
    item = {"external_id": "u-1", "user_alias": alias}
    call("/users/identify", {"aliases_to_identify": [item]})
    assert braze.workspace.partner_cohort("7") == set()
