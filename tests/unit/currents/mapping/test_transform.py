"""One Currents event becomes one Mixpanel event: names, ids, times, properties."""

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.currents.mapping.catalog import CUSTOM_EVENT, EVENTS, PURCHASE
from bridge.currents.mapping.dedup_key import MIN_TIME
from bridge.currents.mapping.result import Filtered, Sent
from bridge.currents.mapping.transform import MAX_COMPILED, Mapper
from bridge.errors import MalformedInput
from bridge.settings import AnonymousUsers
from sandbox.braze.currents import KINDS, CurrentsSource, flat
from tests.unit.currents.braze_events import BRAZE_EVENTS, both_forms

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
    result = Mapper(anonymous).transform(given, json.dumps(given).encode(), ARRIVED)
    assert isinstance(result, Sent), result
    return result.event


def rule(given: Any, *, anonymous: AnonymousUsers = SKIP) -> str:
    result = Mapper(anonymous).transform(given, b"", ARRIVED)
    assert isinstance(result, Filtered), result
    return result.rule


def test_the_shape_of_an_event() -> None:
    """R9: the external id is the distinct id."""
    given = event(properties={"url": "https://example.org/x", "campaign_name": "May"})
    assert sent(given) == {
        "event": "Email Click",
        "properties": {
            "$partner_id": "braze",
            "ip": 0,
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
    result = Mapper(SKIP).transform(given, b"", ARRIVED)
    assert isinstance(result, Sent)
    assert result.event["event"] == "users.messages.pigeon.Send"
    assert result.event["properties"]["wingspan"] == 3
    assert set(result.drift) == {"users.messages.pigeon.Send", "wingspan"}


def test_a_new_field_never_overwrites_what_identifies_the_event() -> None:
    hostile = {"distinct_id": "x", "$insert_id": "x", "time": 1, "$partner_id": "x"}
    hostile |= {"$user_id": "x", "$ignore": True, "token": "x", "ip": "203.0.113.7"}
    ours = sent(event())["properties"]
    under_another_name = {f"[Braze] {name}": value for name, value in hostile.items()}
    assert sent(event(properties=hostile))["properties"] == ours | under_another_name


@pytest.mark.parametrize("order", [1, -1])
def test_a_new_field_never_stands_in_for_a_known_one(order: int) -> None:
    both = [("$device", "new"), ("device_model", "known"), ("card_id", "c")]
    made = sent(event(properties=dict(both[::order])))["properties"]
    assert made["$device"] == "known"
    assert made["[Braze] $device"] == "new"


def test_new_keys_beside_the_known_ones_go_through_too() -> None:
    given = event(user={"mood": "good"}) | {"workspace": "brand-b"}
    result = MAPPER.transform(given, b"", ARRIVED)
    assert isinstance(result, Sent)
    assert result.event["properties"]["mood"] == "good"
    assert result.event["properties"]["workspace"] == "brand-b"
    assert set(result.drift) == {"mood", "workspace"}


@pytest.mark.parametrize("reserved", ["$merge", "$identify", "token"])
def test_a_type_that_would_be_a_command_to_mixpanel_is_malformed(reserved: str) -> None:
    with pytest.raises(MalformedInput, match="reserved"):
        sent(event(reserved))


def test_types_that_a_producer_makes_up_do_not_accumulate() -> None:
    mapper = Mapper(SKIP)
    for number in range(MAX_COMPILED + 10):
        made_up = event(CUSTOM_EVENT, properties={"name": f"name {number}"})
        made_up["properties"][f"field {number}"] = 1
        assert isinstance(mapper.transform(made_up, b"", ARRIVED), Sent)
    assert len(mapper.compiled) <= MAX_COMPILED


def test_r7_events_before_2010_are_filtered() -> None:
    assert rule(event(time=MIN_TIME - 1)) == "before_2010"
    assert sent(event(time=MIN_TIME))["properties"]["time"] == MIN_TIME


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
    braze_id = given["user"]["user_id"]
    kept = sent(given, anonymous=DEVICE)["properties"]["distinct_id"]
    assert kept == f"$device:{braze_id}", "storage has no device id for an e-mail"
    given["event_type"] = "users.messages.pushnotification.Open"
    kept = sent(given, anonymous=DEVICE)["properties"]["distinct_id"]
    assert kept == "$device:d-1"


def test_an_anonymous_user_without_any_device_is_filtered_all_the_same() -> None:
    nobody = {"external_user_id": None, "device_id": "[REDACTED]", "user_id": None}
    assert rule(event(user=nobody), anonymous=DEVICE) == "no_external_id"


MAPPER = Mapper(SKIP)
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
            result = MAPPER.transform(copy.deepcopy(given), b"raw", ARRIVED)
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


@pytest.mark.parametrize("zone", ["65a1b2c3-d4e5-4607-8293-a4b000000000", 7, [], {}])
def test_no_field_but_the_key_is_trusted(zone: object) -> None:
    """Test events of Braze have placeholders, a UUID as time zone for one."""
    given = event(user={"timezone": zone}, properties={"price": {}, "machine_open": 1})
    assert sent(given)["properties"]["$insert_id"] == given["id"]


FOUR_VALUES = """
import json, sys
from bridge.currents.decode.record import decode
from bridge.currents.mapping.result import Sent
from bridge.currents.mapping.transform import Mapper
from bridge.settings import AnonymousUsers
from bridge.errors import MalformedInput
record = sys.stdin.buffer.read()
mapper, earlier = Mapper(AnonymousUsers.DEVICE), {}
for piece in decode(record):
    try:
        if piece.problem:
            raise piece.problem
        made = mapper.transform(piece.event, piece.raw, 1795518000.5, earlier)
    except MalformedInput as error:
        print(error.reason)
        continue
    if isinstance(made, Sent):
        of = made.event["properties"]
        print(json.dumps([made.event["event"], *(of[key] for key in
            ("distinct_id", "time", "$insert_id"))]))
    else:
        print(made.rule)
"""


def test_the_same_bytes_give_the_same_four_values_in_every_process() -> None:
    drawn: list[Any] = [
        form
        for seed, kind in enumerate(BRAZE_EVENTS)
        for form in both_forms(kind, seed, external_id=None if seed % 5 else "c")
    ]
    odd_ids: list[Any] = [None, "", 7, "a" * 40, "null", [], 1.5]
    odd_times: list[Any] = [0, 2**40, 1e20, "x", ARRIVED + 3600]
    drawn += [event(id=odd) for odd in odd_ids]
    drawn += [event(time=odd) for odd in odd_times]
    drawn += [event(properties={"url": url}) for url in "aba"]
    record = b"[" + b",".join(json.dumps(each).encode() for each in drawn) + b"]"
    printed = {
        run_python(FOUR_VALUES, record, seed) for seed in ("0", "1", "4242", "random")
    }
    assert len(printed) == 1
    assert len(printed.pop().splitlines()) == len(drawn)


def run_python(program: str, given: bytes, seed: str) -> bytes:
    path = str(Path(__file__).parents[4] / "layers" / "application")
    return subprocess.run(  # noqa: S603
        [sys.executable, "-c", program],
        input=given,
        env={"PYTHONPATH": path, "PYTHONHASHSEED": seed},
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
