"""What holds for all events of one type is compiled once."""

import pytest

from bridge.currents.mapping.catalog import (
    CATALOG,
    CUSTOM_EVENT,
    PURCHASE,
    UNKNOWN_TYPE,
)
from bridge.currents.mapping.compile import (
    MAX_UNKNOWN,
    CompiledMapping,
    CompiledProperties,
    compile_mapping,
    compile_properties,
)
from bridge.currents.mapping.result import Filtered
from bridge.currents.mapping.rules import Rules, Sample
from bridge.currents.mapping.treatments import LEFT_OUT, keyed_digest

OPEN = "users.messages.email.Open"
PUSH = "users.messages.pushnotification.Open"


def properties(
    event_type: str = OPEN, rules: Rules | None = None
) -> CompiledProperties:
    return compile_properties(event_type, rules or Rules(), keyed_digest(b"key"))


def mapping(event_type: str, rules: Rules | None = None) -> CompiledMapping:
    row = CATALOG.get(event_type)
    name = row.name if row else event_type
    compiled = properties(event_type, rules)
    return compile_mapping(event_type, name, row, rules or Rules(), compiled)


def test_without_rules_a_type_has_the_name_of_the_catalog_and_is_sent() -> None:
    compiled = mapping(OPEN)
    assert (compiled.name, compiled.counted) == ("Email Open", OPEN)
    assert (compiled.filtered, compiled.share, compiled.drift) == (None, 1, ())


def test_an_unknown_type_is_sent_counted_apart_and_reported() -> None:
    compiled = mapping("users.pigeon.Send")
    assert (compiled.name, compiled.counted) == ("users.pigeon.Send", UNKNOWN_TYPE)
    assert compiled.drift == ("users.pigeon.Send",)


@pytest.mark.parametrize("named", [OPEN, "Email Open"])
def test_rules_filter_sample_and_rename_by_type_and_by_name(named: str) -> None:
    assert mapping(OPEN, Rules(exclude=(named,))).filtered == Filtered(
        f"exclude {named}"
    )
    sampled = mapping(OPEN, Rules(sample=(Sample(events=(named,), keep=0.25),)))
    assert (sampled.share, sampled.sampled_out) == (0.25, Filtered(f"sample {named}"))
    assert mapping(OPEN, Rules(rename_events={named: "Opened"})).name == "Opened"


@pytest.mark.parametrize(("event_type", "identifies"), [(OPEN, False), (PUSH, True)])
def test_a_device_identifies_only_where_storage_has_it_too(
    event_type: str, *, identifies: bool
) -> None:
    assert mapping(event_type).device_identifies is identifies


def test_the_flat_form_leaves_out_what_identifies_the_event() -> None:
    compiled = properties()
    for key in ("event_type", "id", "time", "external_user_id", "user_id", "timezone"):
        assert compiled.flat[key] is LEFT_OUT
    assert compiled.flat["device_id"] == "device_id"
    assert "id" not in compiled.nested


@pytest.mark.parametrize(
    ("event_type", "own"),
    [(CUSTOM_EVENT, "custom_properties"), (PURCHASE, "purchase_properties")],
)
def test_in_storage_the_customers_own_properties_have_another_key(
    event_type: str, own: str
) -> None:
    compiled = properties(event_type)
    assert compiled.flat["properties"] is compiled.nested[own]
    assert "properties" not in properties(OPEN).flat


def test_an_unknown_property_keeps_its_name_unless_a_rule_or_mixpanel_has_it() -> None:
    compiled = properties(rules=Rules(drop_properties=("mood",)))
    assert compiled.unknown("wingspan") == "wingspan"
    assert compiled.unknown("$merge") == "[Braze] $merge"
    assert compiled.unknown("mood") is LEFT_OUT


def test_unknown_names_do_not_accumulate() -> None:
    compiled = properties()
    for number in range(2 * MAX_UNKNOWN + 1):
        assert compiled.unknown(f"name {number}") == f"name {number}"
    cached = compiled.unknown.__closure__
    assert cached is not None
    sizes = [len(each.cell_contents) for each in cached if _is_dict(each.cell_contents)]
    assert max(sizes) <= MAX_UNKNOWN


def _is_dict(value: object) -> bool:
    return isinstance(value, dict)
