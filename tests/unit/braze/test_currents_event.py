"""Either form of a Currents event is read into one."""

from typing import Any

import pytest

from bridge.braze.currents_event import event_type_of, read_event
from bridge.errors import MalformedInput

IDS = {"external_user_id": "u", "user_id": "b", "device_id": "d"}
NESTED = {
    "event_type": "a.b",
    "id": "1",
    "time": 2,
    "user": IDS | {"timezone": "UTC"},
    "properties": {"url": "x"},
}
FLAT = {"event_type": "a.b", "id": "1", "time": 2, "url": "x"} | IDS


@pytest.mark.parametrize("event", [NESTED, FLAT], ids=["nested", "flat"])
def test_both_forms_have_their_ids_and_properties(event: dict[str, Any]) -> None:
    found = read_event(event)
    assert (found.type, found.id, found.time) == ("a.b", "1", 2)
    assert (found.external_user_id, found.user_id, found.device_id) == ("u", "b", "d")
    assert found.properties["url"] == "x"
    assert found.is_flat == (event is FLAT)
    assert found.others == {}


@pytest.mark.parametrize(
    ("event", "others"),
    [
        (NESTED | {"brand": "x"}, {"brand": "x"}),
        (NESTED | {"user": IDS | {"mood": "good"}}, {"mood": "good"}),
    ],
    ids=["of the event", "of the user"],
)
def test_keys_that_are_new_in_the_nested_form_are_kept_apart(
    event: dict[str, Any], others: dict[str, Any]
) -> None:
    assert read_event(event).others == others


@pytest.mark.parametrize("missing", ["user", "properties"])
def test_a_null_in_place_of_an_object_is_an_empty_one(missing: str) -> None:
    found = read_event(NESTED | {missing: None})
    assert not found.is_flat
    assert (found.user_id is None) == (missing == "user")


@pytest.mark.parametrize(
    ("event", "reason", "field"),
    [
        ([], "not_an_object", ""),
        ("text", "not_an_object", ""),
        ({}, "no_event_type", "event_type"),
        (NESTED | {"event_type": ""}, "no_event_type", "event_type"),
        (NESTED | {"event_type": 5}, "no_event_type", "event_type"),
        (NESTED | {"user": "u"}, "not_an_object", "user"),
        (NESTED | {"properties": []}, "not_an_object", "properties"),
    ],
)
def test_what_is_no_event_is_malformed_and_names_the_field(
    event: object, reason: str, field: str
) -> None:
    with pytest.raises(MalformedInput) as caught:
        read_event(event)
    assert (caught.value.reason, caught.value.field) == (reason, field)


@pytest.mark.parametrize(
    ("key", "schema"),
    [
        ("x/event_type=a.b/date=1/f.avro", ""),
        ("event_type=a.b/f.avro", "dataexport.S3.inner.c.d"),
        ("", "dataexport.S3.inner.a.b"),
    ],
    ids=["key", "key before schema", "schema"],
)
def test_a_file_has_its_type_by_its_key_or_its_schema(key: str, schema: str) -> None:
    assert event_type_of(key, schema) == "a.b"


def test_a_file_that_names_no_type_is_malformed() -> None:
    with pytest.raises(MalformedInput) as caught:
        event_type_of("x/f.avro", "Record")
    assert caught.value.reason == "no_event_type"
