"""The stand-in Braze on /users/track, rule by rule."""

from typing import Any

import pytest
import requests

from sandbox.braze import BrazeStandIn, Workspace
from sandbox.braze.attributes import operate
from tests.stand_ins.calls import REST_KEY, Call, adds

ALIAS = {"alias_label": "label", "alias_name": "a-1"}


def test_membership_is_added_and_removed(braze: BrazeStandIn, track: Call) -> None:
    answer = track(adds("c", external_id="u-1"), adds("c", user_alias=ALIAS))
    assert answer.status_code == 201
    assert answer.json() == {"message": "success", "attributes_processed": 2}
    anonymous = braze.workspace.find("device", "d-1")
    assert anonymous
    members = braze.workspace.cohort_members("cohorts", "c")
    assert members == {"u-1", anonymous.braze_id}
    track({"external_id": "u-1", "cohorts": {"remove": ["c"]}})
    assert "u-1" not in braze.workspace.cohort_members("cohorts", "c")


def test_a_braze_id_finds_a_profile_and_never_makes_one(
    braze: BrazeStandIn, track: Call
) -> None:
    anonymous = braze.workspace.find("device", "d-1")
    assert anonymous
    track(adds("c", braze_id=anonymous.braze_id))
    assert braze.workspace.cohort_members("cohorts", "c") == {anonymous.braze_id}
    before = len(braze.workspace.profiles)
    track({"braze_id": "f" * 24, "cohorts": {"add": ["c"]}})
    assert len(braze.workspace.profiles) == before


# _update_existing_only, with its default by identifier


@pytest.mark.parametrize(
    ("user", "made_by_default"),
    [
        ({"external_id": "new"}, True),
        ({"user_alias": {"alias_label": "l", "alias_name": "new"}}, False),
        ({"email": "new@example.com"}, True),
        ({"phone": "+15550100017"}, True),
        ({"braze_id": "new"}, False),
    ],
)
def test_who_is_made_by_default_depends_on_the_identifier(
    braze: BrazeStandIn, track: Call, user: dict[str, Any], made_by_default: bool
) -> None:
    before = len(braze.workspace.profiles)
    assert track({**user, "x": 1, "_update_existing_only": True}).status_code == 201
    assert len(braze.workspace.profiles) == before
    assert braze.workspace.unknown_users == 1
    assert track({**user, "x": 1}).status_code == 201
    assert len(braze.workspace.profiles) == before + made_by_default


def test_an_alias_only_user_is_made_where_that_is_asked_for(
    braze: BrazeStandIn, track: Call
) -> None:
    alias = {"alias_label": "l", "alias_name": "new"}
    track({"user_alias": alias, "_update_existing_only": False, "x": 1})
    profile = braze.workspace.find("alias", "l\0new")
    assert profile
    assert profile.attributes == {"x": 1}


def test_an_email_finds_the_user_with_an_external_id_first(
    braze: BrazeStandIn, track: Call
) -> None:
    known = braze.workspace.add_user(external_id="u-9", email="a@example.com")
    braze.workspace.add_user(email="a@example.com")
    track({"email": "a@example.com", "x": 1})
    assert known.attributes == {"x": 1}


def test_an_email_beside_a_primary_identifier_is_written(
    braze: BrazeStandIn, track: Call
) -> None:
    track({"external_id": "u-1", "email": "ada@example.com"})
    profile = braze.workspace.find("email", "ada@example.com")
    assert profile
    assert profile.external_id == "u-1"


# Objects that are rejected


@pytest.mark.parametrize(
    "item",
    [
        {},
        "no object",
        {"cohorts": {"add": ["c"]}},
        {"external_id": ""},
        {"external_id": 7},
        {"external_id": "a", "braze_id": "b"},
        {"external_id": "a", "user_alias": ALIAS},
        {"external_id": "x" * 988},
        {"user_alias": {"alias_name": "x" * 237, "alias_label": "l"}},
        {"user_alias": {"alias_name": "x", "alias_label": "l" * 237}},
        {"user_alias": {"alias_name": "x"}},
        {"user_alias": {"alias_name": "", "alias_label": "l"}},
        {"user_alias": "a-1"},
        {"external_id": "u-1", "cohorts": {"add": "c"}},
        {"external_id": "u-1", "number": {"inc": "2"}},
    ],
)
def test_a_bad_object_is_rejected_by_index_and_the_others_go_on(
    braze: BrazeStandIn, track: Call, item: Any
) -> None:
    answer = track(adds("c", external_id="u-1"), item)
    assert answer.status_code == 201
    assert answer.json()["attributes_processed"] == 1
    (error,) = answer.json()["errors"]
    assert (error["index"], error["input_array"]) == (1, "attributes")
    assert braze.workspace.cohort_members("cohorts", "c") == {"u-1"}
    alone = track(item)
    assert alone.status_code == 400
    assert alone.json()["message"].startswith("Valid data must be provided")
    assert alone.json()["errors"][0]["index"] == 0


def test_an_id_on_the_blocklist_is_rejected(braze: BrazeStandIn, track: Call) -> None:
    braze.workspace.blocked.add("test")
    content = track({"external_id": "test"}).json()["errors"][0]["type"]
    assert content == "provided external_id is blacklisted and disallowed"


def test_limits_are_in_bytes_and_not_in_characters(track: Call) -> None:
    assert track({"external_id": "x" * 987}).status_code == 201
    assert track({"external_id": "é" * 493}).status_code == 201
    assert track({"external_id": "é" * 494}).status_code == 400
    for length, status in ((118, 201), (119, 400)):
        alias = {"alias_label": "l", "alias_name": "é" * length}
        assert track({"user_alias": alias}).status_code == status


def test_a_request_holds_75_objects_over_all_its_arrays(call: Call) -> None:
    user = {"external_id": "u-1"}
    events = [{**user, "name": "e", "time": "2031-04-05T06:07:08Z"}] * 35
    body = {"attributes": [user] * 40, "events": events}
    content = call("/users/track", body).json()
    assert (content["attributes_processed"], content["events_processed"]) == (40, 35)
    body["attributes"].append(user)
    answer = call("/users/track", body)
    assert (answer.status_code, answer.json()) == (
        400,
        {"message": "Max Input Length Exceeded"},
    )


def test_a_request_without_objects_is_rejected(track: Call, call: Call) -> None:
    for answer in (track(), call("/users/track", {"attributes": None})):
        assert answer.status_code == 400
        assert answer.json()["message"].startswith("Valid data must be provided")


def test_errors_name_the_array_they_are_about(call: Call) -> None:
    body = {"attributes": [{"external_id": "u-1"}], "purchases": [{"external_id": "u"}]}
    (error,) = call("/users/track", body).json()["errors"]
    assert (error["input_array"], error["index"]) == ("purchases", 0)


def test_the_bulk_path_takes_more_objects_and_100_of_one_user(call: Call) -> None:
    def bulk(objects: int, each: int) -> int:
        users = [{"external_id": f"u{n // each}"} for n in range(objects)]
        return call("/users/track/bulk", {"attributes": users}).status_code

    assert [bulk(1000, 1), bulk(1001, 1), bulk(100, 100), bulk(101, 101)] == [
        201,
        400,
        201,
        400,
    ]


# What an operation does


@pytest.mark.parametrize(
    ("before", "operation", "after"),
    [
        (None, 3, 3),
        ("a", None, None),
        (None, "x" * 256, "x" * 255),
        (["z"], ["a", "b", "a"], ["a", "b"]),
        (None, {"add": ["a"]}, ["a"]),
        (["a", "b"], {"add": ["a"]}, ["b", "a"]),
        (["a", "b"], {"remove": ["a", "x"]}, ["b"]),
        (["a"], {"remove": ["a"]}, []),
        (None, {"remove": ["a"]}, None),
        ("text", {"add": ["a"]}, ["a"]),
        (["a"], {"add": ["b"], "remove": ["b"]}, ["a"]),
        (3, {"inc": 2}, 5),
        (None, {"inc": 2}, 2),
        (None, [{"k": 1}, {"k": 1}], [{"k": 1}]),
        ([{"k": 1}], {"$add": [{"k": 2}]}, [{"k": 1}, {"k": 2}]),
        (None, {"nested": 1}, {"nested": 1}),
    ],
)
def test_set_unset_add_remove_and_inc(before: Any, operation: Any, after: Any) -> None:
    assert operate(before, operation, 500) == after


def test_arrays_keep_their_newest_500_values() -> None:
    values = [f"c{number}" for number in range(500)]
    full = operate(values, {"add": ["new"]}, 500)
    assert (len(full), full[0], full[-1]) == (500, "c1", "new")
    assert operate(values, {"add": ["c0"]}, 500)[-1] == "c0", "it moves to the end"
    assert len(operate(None, [*values, "x"], 500)) == 500
    assert operate(["a"], {"add": ["b"]}, 1) == ["b"], "the dashboard may say less"
    assert operate(["a"], {"add": ["b"]}, 0) == []


def test_a_cohort_that_fell_out_of_a_full_array_raises_no_error(track: Call) -> None:
    answers = [
        track({"external_id": "u-1", "cohorts": [f"c{n}" for n in range(500)]}),
        track(adds("one more", external_id="u-1")),
    ]
    assert [answer.json().get("errors") for answer in answers] == [None, None]


def test_attributes_on_the_blocklist_and_long_names_are_dropped_in_silence(
    braze: BrazeStandIn, track: Call
) -> None:
    braze.workspace.blocked_attributes.add("secret")
    item = {"external_id": "u-1", "secret": 1, "n" * 256: 1, " trimmed ": 1}
    assert "errors" not in track(item).json()
    profile = braze.workspace.find("external_id", "u-1")
    assert profile
    assert profile.attributes == {"trimmed": 1}


def test_attributes_go_before_events_and_purchases(
    braze: BrazeStandIn, call: Call
) -> None:
    at = {"time": "2031-04-05T06:07:08Z"}
    body = {
        "purchases": [
            {
                "external_id": "new",
                "product_id": "p",
                "currency": "EUR",
                "price": 1,
                **at,
            }
        ],
        "events": [{"external_id": "new", "name": "e", **at}],
        "attributes": [{"external_id": "new", "x": 1}],
    }
    assert call("/users/track", body).status_code == 201
    profile = braze.workspace.find("external_id", "new")
    assert profile
    assert (profile.events, profile.purchases, profile.attributes) == (1, 1, {"x": 1})


# What it costs


@pytest.mark.parametrize(
    ("operation", "points", "noops"),
    [
        ({"add": ["c"]}, 1, 0),
        ({"add": ["c", "d", "e"]}, 3, 0),
        ({"add": ["there"]}, 1, 1),
        ({"remove": ["there"]}, 1, 0),
        ({"remove": ["absent"]}, 1, 1),
        ({"add": []}, 1, 1),
        (["there"], 1, 1),
        (None, 1, 0),
    ],
)
def test_data_points_are_counted_where_nothing_changes_too(
    operation: Any, points: int, noops: int
) -> None:
    space = Workspace()
    profile = space.add_user(external_id="u")
    profile.attributes["cohorts"] = ["there"]
    space.apply({"external_id": "u", "cohorts": operation})
    assert (space.data_points, space.noop_writes) == (points, noops)


# When it is written


def test_an_export_does_not_show_what_is_only_queued() -> None:
    with BrazeStandIn(rest_api_keys=[REST_KEY], apply_delay=None) as braze:
        braze.workspace.add_user(external_id="u-1")
        headers = {"authorization": f"Bearer {REST_KEY}"}

        def post(path: str, body: Any) -> Any:
            url = braze.url + path
            return requests.post(url, json=body, headers=headers, timeout=5).json()

        export = {"external_ids": ["u-1"], "fields_to_export": ["custom_attributes"]}
        post("/users/track", {"attributes": [adds("c", external_id="u-1")]})
        assert post("/users/export/ids", export)["users"] == [{}]
        assert braze.state()["waiting"] == 1
        assert post("/_stand_in/apply", {}) == {"applied": 1}
        (user,) = post("/users/export/ids", export)["users"]
        assert user == {"custom_attributes": {"cohorts": ["c"]}}


def test_a_delayed_write_is_applied_after_the_answer() -> None:
    import time

    with BrazeStandIn(rest_api_keys=[REST_KEY], apply_delay=0.05) as braze:
        braze.workspace.add_user(external_id="u-1")
        requests.post(
            f"{braze.url}/users/track",
            json={"attributes": [adds("c", external_id="u-1")]},
            headers={"authorization": f"Bearer {REST_KEY}"},
            timeout=5,
        )
        until = time.monotonic() + 5
        while len(braze.backlog) and time.monotonic() < until:
            time.sleep(0.01)
        assert braze.workspace.cohort_members("cohorts", "c") == {"u-1"}


@pytest.mark.parametrize(("swap", "member"), [(0.0, False), (1.0, True)])
def test_two_requests_for_one_user_may_be_applied_in_either_order(
    swap: float, member: bool
) -> None:
    with BrazeStandIn(rest_api_keys=[REST_KEY], apply_delay=None, swap=swap) as braze:
        braze.workspace.add_user(external_id="u-1")
        for operation in ("add", "remove"):
            item = {"external_id": "u-1", "cohorts": {operation: ["c"]}}
            requests.post(
                f"{braze.url}/users/track",
                json={"attributes": [item]},
                headers={"authorization": f"Bearer {REST_KEY}"},
                timeout=5,
            )
        braze.backlog.apply_all()
        assert bool(braze.workspace.cohort_members("cohorts", "c")) == member
