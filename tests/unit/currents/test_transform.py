"""One Currents event becomes one Mixpanel event: names, ids, times, properties."""

import copy
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.currents.catalog import CUSTOM_EVENT, EVENTS, PURCHASE
from bridge.currents.transform import EARLIEST, Filtered, Sent, transform
from bridge.errors import MalformedInput
from bridge.settings import AnonymousUsers
from sandbox.braze.currents import KINDS, CurrentsSource, flat

ARRIVED = 1_795_518_000.5
SKIP, DEVICE = AnonymousUsers.SKIP, AnonymousUsers.DEVICE


def event(event_type: str = "users.messages.email.Click", **changes: Any) -> Any:
    made: dict[str, Any] = {
        "event_type": event_type,
        "id": "1b4c0f5e-7a52-4b5e-9a5c-3f0d2a6c8e11",
        "time": 1_767_225_600,
        "user": {
            "user_id": "65a1b2c3d4e5f60718293a4b",
            "external_user_id": "cust-42",
            "device_id": "d-1",
            "timezone": "Europe/Berlin",
        },
        "properties": {"name": "wishlist_add"} if event_type == CUSTOM_EVENT else {},
    }
    user = changes.pop("user", {})
    made["user"] |= user
    return made | changes


def sent(given: Any, *, anonymous: AnonymousUsers = SKIP) -> dict[str, Any]:
    result = transform(given, json.dumps(given).encode(), ARRIVED, anonymous)
    assert isinstance(result, Sent), result
    return result.event


def rule(given: Any, *, anonymous: AnonymousUsers = SKIP) -> str:
    result = transform(given, b"", ARRIVED, anonymous)
    assert isinstance(result, Filtered), result
    return result.rule


def test_the_shape_of_an_event() -> None:
    """R9: the external id is the distinct id."""
    given = event(properties={"url": "https://example.org/x", "campaign_name": "May"})
    assert sent(given) == {
        "event": "Email Click",
        "properties": {
            "$partner_id": "braze",
            "distinct_id": "cust-42",
            "$insert_id": "1b4c0f5e-7a52-4b5e-9a5c-3f0d2a6c8e11",
            "time": 1_767_225_600,
            "device_id": "d-1",
            "url": "https://example.org/x",
            "campaign_name": "May",
        },
    }


@pytest.mark.parametrize("row", EVENTS, ids=lambda row: row.type)
def test_r14_every_type_gets_its_name_in_both_forms(row: Any) -> None:
    nested = event(row.type, properties={"app_id": "a", "name": "n", "price": 9.99})
    stored = flat(nested) | {"event_type": row.type}
    expected = "[Braze Custom Event] n" if row.type == CUSTOM_EVENT else row.name
    assert sent(nested)["event"] == expected
    assert sent(stored) == sent(nested)


@pytest.mark.parametrize("event_type", KINDS)
def test_both_forms_of_one_event_give_the_same_event(event_type: str) -> None:
    source = CurrentsSource(["cust-1"], 1_767_225_600, seed=3)
    for _ in range(20):
        nested = source.event(event_type)
        stored = flat(nested) | {"event_type": event_type}
        if "price" in stored:
            stored["price"] = as_float32(stored["price"])
        assert sent(stored) == sent(nested)


def as_float32(value: float) -> float:
    import struct

    (single,) = struct.unpack("f", struct.pack("f", value))
    return float(single)


def test_r12_custom_events_and_their_properties_are_prefixed() -> None:
    given = event(
        CUSTOM_EVENT,
        properties={
            "name": "wishlist_add",
            "app_id": "a",
            "custom_properties": {"sku": "A-1", "tags": ["new"], "gone": None},
        },
    )
    made = sent(given)
    assert made["event"] == "[Braze Custom Event] wishlist_add"
    properties = made["properties"]
    assert properties["[Custom event property] sku"] == "A-1"
    assert properties["[Custom event property] tags"] == ["new"]
    assert properties["app_id"] == "a"
    assert "name" not in properties
    assert not [name for name in properties if "gone" in name]


def test_r12_properties_of_purchases_are_prefixed() -> None:
    own = {"purchase_properties": {"coupon": "SPRING"}, "price": 9.99}
    properties = sent(event(PURCHASE, properties=own))["properties"]
    assert properties["[Purchase property] coupon"] == "SPRING"
    assert properties["price"] == 9.99


def test_own_properties_that_are_no_json_are_kept_as_text() -> None:
    given = event(CUSTOM_EVENT, properties={"name": "n", "custom_properties": "{oops"})
    assert sent(given)["properties"]["[Custom event property]"] == "{oops"


@pytest.mark.parametrize("older", ["users_campaigns_abort", "users_canvas_abort"])
def test_r14_the_older_spellings_are_taken(older: str) -> None:
    assert sent(event(older))["event"] in {"Campaign Abort", "Canvas Abort"}


def test_renamed_withheld_and_parsed_properties() -> None:
    properties = sent(
        event(
            "users.messages.contentcard.Click",
            properties={
                "device_model": "Pixel 8",
                "os_version": "15",
                "content_card_id": "c-1",
                "canvas_api_id": "old",
                "message_extras": '{"a": 1}',
                "conversion_behavior": "{broken",
                "campaign_id": None,
            },
        )
    )["properties"]
    assert properties["$device"] == "Pixel 8"
    assert properties["$os"] == "15"
    assert properties["card_id"] == "c-1"
    assert properties["message_extras"] == {"a": 1}
    assert properties["conversion_behavior"] == "{broken"
    for left_out in ("canvas_api_id", "campaign_id", "user_id", "timezone"):
        assert left_out not in properties


def test_a_new_type_and_a_new_field_go_through_and_are_reported() -> None:
    given = event("users.messages.pigeon.Send", properties={"wingspan": 3})
    result = transform(given, b"", ARRIVED, SKIP)
    assert isinstance(result, Sent)
    assert result.event["event"] == "users.messages.pigeon.Send"
    assert result.event["properties"]["wingspan"] == 3
    assert set(result.drift) == {"users.messages.pigeon.Send", "wingspan"}


def test_a_new_field_never_overwrites_what_identifies_the_event() -> None:
    hostile = {"distinct_id": "x", "$insert_id": "x", "time": 1, "$partner_id": "x"}
    assert sent(event(properties=hostile)) == sent(event())


# Filters


def test_r7_events_before_2010_are_filtered() -> None:
    assert rule(event(time=EARLIEST - 1)) == "before_2010"
    assert sent(event(time=EARLIEST))["properties"]["time"] == EARLIEST


@pytest.mark.parametrize(
    ("external_id", "expected"),
    [
        (None, "no_external_id"),
        ("", "no_external_id"),
        ("[REDACTED]", "redacted_external_id"),
        ("Undefined", "placeholder_external_id"),
        ("00000000-0000-0000-0000-000000000000", "placeholder_external_id"),
    ],
)
def test_r10_without_an_external_id_nothing_is_sent(
    external_id: str | None, expected: str
) -> None:
    given = event(user={"external_user_id": external_id})
    assert rule(given) == expected
    kept = sent(given, anonymous=DEVICE)
    assert kept["properties"]["distinct_id"] == "$device:d-1"


def test_an_anonymous_user_without_any_device_is_filtered_all_the_same() -> None:
    nobody = {"external_user_id": None, "device_id": "[REDACTED]", "user_id": None}
    assert rule(event(user=nobody), anonymous=DEVICE) == "no_external_id"


# What identifies an event


def test_a_time_to_come_is_capped_by_the_arrival() -> None:
    assert sent(event(time=2_033_802_504))["properties"]["time"] == int(ARRIVED)


@pytest.mark.parametrize("time", [None, "yesterday", True, [], 1e400, float("nan")])
def test_a_time_that_is_none_is_malformed(time: object) -> None:
    with pytest.raises(MalformedInput) as caught:
        sent(event(time=time))
    assert caught.value.field == "time"


@pytest.mark.parametrize("event_id", ["a" * 37, "with space", "ümlaut", "null", "0"])
def test_an_id_that_mixpanel_refuses_becomes_a_digest(event_id: str) -> None:
    first = sent(event(id=event_id))["properties"]["$insert_id"]
    assert re.fullmatch(r"[0-9a-f]{36}", first)
    assert (
        first
        == sent(event(id=event_id, time=1_767_225_601))["properties"]["$insert_id"]
    )


def test_without_an_id_the_bytes_give_one() -> None:
    first, other = (
        sent(event(id=None, time=at)) for at in (1_767_225_600, 1_767_225_601)
    )
    assert first["properties"]["$insert_id"] != other["properties"]["$insert_id"]


KEYS = ("distinct_id", "time", "$insert_id")
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(
    st.fixed_dictionaries(
        {
            "event_type": st.sampled_from([row.type for row in EVENTS]) | st.text(),
            "id": json_values,
            "time": st.integers(0, 2**33) | json_values,
            "user": st.dictionaries(
                st.sampled_from(["external_user_id", "user_id", "device_id"]),
                json_values,
            )
            | json_values,
            "properties": st.dictionaries(st.text(), json_values) | json_values,
        }
    )
)
def test_the_same_bytes_give_the_same_four_values_and_nothing_crashes(
    given: dict[str, Any],
) -> None:
    outcomes: list[Any] = []
    for _ in range(2):
        try:
            result = transform(copy.deepcopy(given), b"raw", ARRIVED, SKIP)
        except MalformedInput as error:
            outcomes.append(error.reason)
        else:
            outcomes.append(
                result.rule
                if isinstance(result, Filtered)
                else (
                    result.event["event"],
                    *(result.event["properties"][key] for key in KEYS),
                )
            )
    assert outcomes[0] == outcomes[1]
