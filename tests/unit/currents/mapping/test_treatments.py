"""Properties are dropped, hashed and renamed, and no value a rule withholds is sent."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.currents.mapping.catalog import CUSTOM_EVENT
from bridge.currents.mapping.properties import PERSONAL
from bridge.currents.mapping.result import Sent
from bridge.currents.mapping.rules import Rules
from bridge.currents.mapping.transform import Mapper
from bridge.currents.mapping.treatments import keyed_digest
from bridge.errors import MalformedInput
from tests.unit.currents.braze_events import BRAZE_EVENTS, BrazeEvent, both_forms
from tests.unit.currents.mapping.test_rules import (
    ARRIVED,
    CLICK,
    DEVICE,
    KEY,
    digest,
    event,
    mapped,
    mapped_once,
    properties,
    sent,
)


@pytest.mark.parametrize("called", ["device_model", "$device"])
def test_a_property_is_dropped_by_either_of_its_names(called: str) -> None:
    given = event(device_model="Pixel 8", url="u")
    assert "$device" not in properties(given, drop_properties=[called])
    assert properties(given, drop_properties=[called])["url"] == "u"


def test_a_property_is_hashed_with_the_customers_key() -> None:
    given = event(email_address="a@example.org")
    made = properties(given, hash_properties=["email_address"])
    assert made["email_address"] == digest("a@example.org")


def test_numbers_and_objects_are_hashed_as_json_alike_in_both_forms() -> None:
    extras = {"message_extras": '{"b": 1, "a": 2}'}
    made = properties(event(**extras), hash_properties=["message_extras"])
    assert made["message_extras"] == digest('{"a":2,"b":1}')
    flat = {"event_type": CLICK, "external_user_id": "c", "time": 1_767_225_600}
    stored = properties(flat | extras, hash_properties=["message_extras"])
    assert stored["message_extras"] == made["message_extras"]


def test_properties_are_renamed() -> None:
    given = event(CUSTOM_EVENT, app_id="a", custom_properties={"sku": "A-1", "n": 1})
    renamed = {"app_id": "App", "custom_properties.sku": "SKU"}
    made = properties(given, rename_properties=renamed)
    assert (made["App"], made["SKU"]) == ("a", "A-1")
    assert made["[Custom event property] n"] == 1
    assert not {"app_id", "[Custom event property] sku"} & made.keys()


def test_a_property_inside_another_is_dropped_or_hashed() -> None:
    given = event(message_extras='{"email": "a@b", "who": {"phone": "1"}, "n": 2}')
    made = properties(
        given,
        drop_properties=["message_extras.who.phone"],
        hash_properties=["message_extras.email"],
    )
    assert made["message_extras"] == {"email": digest("a@b"), "who": {}, "n": 2}


@pytest.mark.parametrize(
    "text",
    ['{"email": "canary"', "email canary", '"{\\"email\\": \\"canary\\"}"', "[}canary"],
)
def test_a_text_that_is_not_json_is_withheld_if_a_rule_looks_inside(
    text: str,
) -> None:
    rules = {"drop_properties": ["message_extras.email", "custom_properties.email"]}
    assert "canary" not in str(sent(event(message_extras=text), **rules))
    given = event(CUSTOM_EVENT, custom_properties=text)
    assert "canary" not in str(sent(given, **rules))


@pytest.mark.parametrize("name", sorted(PERSONAL))
@pytest.mark.parametrize("what", ["drop", "hash"])
def test_one_word_withholds_all_personal_properties(name: str, what: str) -> None:
    made = sent(event(**{name: "canary"}), personal=what)
    assert "canary" not in str(made)


def test_a_personal_property_that_is_named_follows_its_own_rule() -> None:
    rules = {"personal": "drop", "hash_properties": ["email_address"]}
    made = properties(event(email_address="a", gender="f"), **rules)
    assert made["email_address"] == digest("a")
    assert "gender" not in made


@pytest.mark.parametrize("what", ["drop_properties", "hash_properties"])
def test_a_device_id_that_a_rule_withholds_identifies_no_user_either(what: str) -> None:
    given = event("users.messages.pushnotification.Open")
    given["user"] |= {"external_user_id": None, "device_id": "canary"}
    result = mapped(given, anonymous=DEVICE, **{what: ["device_id"]})
    assert isinstance(result, Sent)
    assert "canary" not in str(result.event)
    expected = digest("canary") if what == "hash_properties" else "b-1"
    assert result.event["properties"]["distinct_id"] == f"$device:{expected}"


CANARIES = ("canary@example.org", "+15550100", "canary street 1")


WITHHELD = (
    "email_address",
    "to_phone_number",
    "message_extras.email",
    "message_extras.deep.email",
    "custom_attributes.email",
    "custom_properties.email",
    "custom_properties.deep.email",
    "purchase_properties.email",
    "purchase_properties.deep.email",
    "device_id",
    "newer_than_the_catalog",
    "answer.s",
)


@given(
    kind=st.sampled_from(BRAZE_EVENTS),
    seed=st.integers(0, 10_000),
    canary=st.sampled_from(CANARIES),
    anonymous=st.booleans(),
    what=st.sampled_from(["drop_properties", "hash_properties"]),
)
def test_no_personal_value_that_a_rule_withholds_is_sent(
    kind: BrazeEvent, seed: int, canary: str, anonymous: bool, what: str
) -> None:
    mapper = mapped_once({what: WITHHELD}) if not anonymous else _DEVICE[what]
    user = None if anonymous else "cust-42"
    for form in both_forms(kind, seed, external_id=user):
        planted = plant(form, canary)
        assert canary in str(planted)
        result = mapper.transform(planted, b"", ARRIVED)
        assert canary not in str(result)


_DEVICE = {
    what: Mapper(DEVICE, Rules.model_validate({what: WITHHELD}), KEY)
    for what in ("drop_properties", "hash_properties")
}


def plant(form: dict[str, Any], canary: str) -> dict[str, Any]:
    """The value in every place that WITHHELD names, also within JSON texts."""
    inside = {"email": canary, "deep": {"email": canary, "list": [1]}, "kept": 1}
    text = json.dumps(inside)
    planted: dict[str, Any] = {
        "email_address": canary,
        "to_phone_number": canary,
        "message_extras": text,
        "custom_attributes": json.dumps([{"email": canary}]),
        "newer_than_the_catalog": {"any": canary},
        "answer.s": canary,
    }
    if "user" in form:
        own = {"custom_properties": inside, "purchase_properties": inside}
        user = form["user"] | {"device_id": canary}
        return form | {
            "user": user,
            "properties": form["properties"] | planted | own,
        }
    if "properties" in form:
        planted["properties"] = text
    return form | planted | {"device_id": canary}


def test_a_text_that_is_no_unicode_inside_an_object_has_no_digest() -> None:
    hashed = keyed_digest(b"key")
    assert hashed("\ud800")
    with pytest.raises(MalformedInput) as caught:
        hashed({"a": "\ud800"})
    assert caught.value.reason == "not_text"
