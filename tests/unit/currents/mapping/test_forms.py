"""The storage form and the HTTP form of one event give one Mixpanel event."""

import io
import json
from typing import Any

import fastavro
import pytest

from bridge.currents.decode.record import decode
from bridge.currents.mapping.catalog import EVENTS
from bridge.currents.mapping.properties import mapped_properties
from bridge.currents.mapping.result import Sent
from bridge.currents.mapping.transform import Mapper
from bridge.settings import AnonymousUsers
from tests.unit.currents.braze_events import BRAZE_EVENTS, BrazeEvent, both_forms

ARRIVED = 1_895_518_000.0
KEYS = ("distinct_id", "time", "$insert_id", "$partner_id")
MAPPERS = {anonymous: Mapper(anonymous) for anonymous in AnonymousUsers}
IDS = {event.type: event for event in BRAZE_EVENTS}

every_type = pytest.mark.parametrize("kind", BRAZE_EVENTS, ids=lambda kind: kind.type)


def sent(
    event: Any, anonymous: AnonymousUsers = AnonymousUsers.SKIP, raw: bytes = b""
) -> dict[str, Any]:
    result = MAPPERS[anonymous].transform(event, raw, ARRIVED)
    assert isinstance(result, Sent), result
    return result.event


def only_in_one_form(kind: BrazeEvent) -> set[str]:
    """Names in Mixpanel of what one of the forms lacks."""
    mapped = mapped_properties(kind.type)
    stored = {mapped[name][0] for name in kind.storage if name in mapped}
    if "properties" in kind.storage:
        stored |= {mapped["custom_properties"][0], mapped["purchase_properties"][0]}
    over_http = {mapped[name][0] for name in kind.http | kind.user}
    return stored ^ over_http


def common(event: dict[str, Any], kind: BrazeEvent) -> Any:
    lacking = only_in_one_form(kind)
    properties = {
        name: value
        for name, value in event["properties"].items()
        if name not in lacking
    }
    # As JSON: there 10.0 is not 10.
    return event["event"], json.dumps(properties, sort_keys=True)


@every_type
def test_both_forms_of_one_event_give_the_same_event(kind: BrazeEvent) -> None:
    for seed in range(20):
        nested, flat = both_forms(kind, seed)
        first, second = sent(nested), sent(flat)
        assert common(first, kind) == common(second, kind)
        for key in KEYS:
            assert first["properties"][key] == second["properties"][key]


@every_type
def test_what_only_one_form_has_is_sent_all_the_same(kind: BrazeEvent) -> None:
    mapped = mapped_properties(kind.type)
    nested, flat = both_forms(kind, 1)
    for form, given in ((nested, nested["properties"]), (flat, flat)):
        made = sent(form)["properties"]
        for name, value in given.items():
            target = mapped[name][0] if name in mapped else ""
            own = name in {"properties", "custom_properties", "purchase_properties"}
            if value is not None and target and not own:
                assert target in made, name


@every_type
def test_both_forms_of_an_anonymous_user_have_one_distinct_id(
    kind: BrazeEvent,
) -> None:
    for seed in range(5):
        nested, flat = both_forms(kind, seed, external_id=None)
        results = [
            MAPPERS[AnonymousUsers.DEVICE].transform(form, b"", ARRIVED)
            for form in (nested, flat)
        ]
        ids = {
            result.event["properties"]["distinct_id"]
            if isinstance(result, Sent)
            else result.rule
            for result in results
        }
        assert len(ids) == 1, ids


@every_type
def test_an_avro_file_gives_what_the_http_connector_gives(kind: BrazeEvent) -> None:
    nested, flat = both_forms(kind, 3)
    (decoded,) = decode(avro_of(kind, flat))
    assert decoded.problem is None
    first, second = sent(nested), sent(decoded.event, raw=decoded.raw)
    assert common(first, kind) == common(second, kind)


def avro_of(kind: BrazeEvent, flat: dict[str, Any]) -> bytes:
    """A container under the schema that Braze's files have."""
    storage = {"external_user_id": "string?"} | kind.storage
    schema: Any = {
        "type": "record",
        "name": f"dataexport.S3.inner.{kind.type}",
        "fields": [{"name": name, **_avro(avro)} for name, avro in storage.items()],
    }
    content = io.BytesIO()
    fastavro.writer(content, schema, [{name: flat.get(name) for name in storage}])
    return content.getvalue()


def _avro(kind: str) -> dict[str, Any]:
    plain = kind.rstrip("?")
    avro: Any = plain
    if plain.startswith("array"):
        avro = {"type": "array", "items": plain[len("array<") : -1]}
    return (
        {"type": ["null", avro], "default": None}
        if kind.endswith("?")
        else {"type": avro}
    )


def test_a_duration_in_whole_milliseconds_is_not_cut() -> None:
    nested, _ = both_forms(IDS["agentconsole.AgentExecuted"], 1)
    nested["properties"]["duration"] = 16_777_217
    assert sent(nested)["properties"]["duration"] == 16_777_217


def test_a_boolean_that_braze_writes_as_text_is_that_text() -> None:
    nested, _ = both_forms(IDS["users.messages.email.Open"], 1)
    for given in ("true", True):
        nested["properties"]["machine_open"] = given
        assert sent(nested)["properties"]["machine_open"] == "true"


def test_the_list_names_every_type_of_the_catalog() -> None:
    assert [kind.type for kind in BRAZE_EVENTS] == [event.type for event in EVENTS]
