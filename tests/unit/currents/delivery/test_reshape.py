"""An event of a shape that Mixpanel rejects is brought into one that fits."""

from typing import Any

import orjson
import pytest

from bridge.currents.delivery.reshape import (
    LEFT_OUT_COUNT,
    MAX_ITEMS,
    MAX_TEXT,
    Limit,
    count_name,
    passed_limits,
    reshaped_line,
    texts_of,
)
from bridge.mixpanel.import_api import BYTES_PER_EVENT
from sandbox.mixpanel import rules

OWN = "[Custom event property]"
KEYS = {
    "$partner_id": "braze",
    "ip": 0,
    "distinct_id": "cust-1",
    "$insert_id": "id-1",
    "time": 1_767_225_600,
}
KNOWN = frozenset({"campaign_id", "url"})


def shaped(properties: dict[str, Any], **texts: str) -> dict[str, Any]:
    """The properties in the shape that fits, without those of the key."""
    event = {"event": "Odd", "properties": KEYS | properties}
    line = reshaped_line(event, KNOWN, texts)
    assert line is not None
    read: dict[str, Any] = orjson.loads(line)
    assert read["event"] == "Odd"
    assert rules._values(read["properties"]) is None, "the stand-in takes it"
    assert {name: read["properties"].pop(name) for name in KEYS} == KEYS
    out: dict[str, Any] = read["properties"]
    return out


def nested(depth: int, inner: Any = 1) -> Any:
    return inner if depth == 0 else {"a": nested(depth - 1, inner)}


@pytest.mark.parametrize(
    ("properties", "passed"),
    [
        ({f"p{n}": n for n in range(MAX_ITEMS)}, set()),
        ({f"p{n}": n for n in range(MAX_ITEMS + 1)}, {Limit.PROPERTIES}),
        ({"a": [1] * MAX_ITEMS, "b": nested(3)}, set()),
        ({"a": [1] * (MAX_ITEMS + 1)}, {Limit.ELEMENTS}),
        ({"a": [{"b": dict.fromkeys(map(str, range(255)))}]}, {Limit.KEYS}),
        ({"a": nested(4)}, {Limit.DEPTH}),
        ({"a": [[[[]]]]}, {Limit.DEPTH}),
        ({"a": "x" * 9_999}, set()),
    ],
)
def test_what_passes_a_limit(properties: dict[str, Any], passed: set[Limit]) -> None:
    assert passed_limits(properties) == passed


def test_known_properties_come_first_then_the_others_in_their_order() -> None:
    own = {f"{OWN} p{n:03}": n for n in range(300)}
    out = shaped(own | {"url": "u", "campaign_id": "c"})
    kept = MAX_ITEMS - len(KEYS) - 1
    assert list(out)[:2] == ["url", "campaign_id"]
    assert list(out)[2:-1] == list(own)[: kept - 2]
    assert out[LEFT_OUT_COUNT] == 300 - (kept - 2)


def test_a_long_list_stays_a_list_with_its_full_number_beside_it() -> None:
    out = shaped({"tags": list(range(300)), "url": "u"})
    assert out["tags"] == list(range(MAX_ITEMS))
    assert out[count_name("tags")] == 300
    assert out["url"] == "u"


def test_a_large_object_keeps_its_first_keys_at_any_level() -> None:
    large = {f"k{n}": n for n in range(400)}
    out = shaped({"cart": {"lines": large, "currency": "EUR"}, "flat": large})
    assert out["flat"] == {f"k{n}": n for n in range(MAX_ITEMS)}
    assert out[count_name("flat")] == 400
    assert list(out["cart"]) == ["lines", count_name("lines"), "currency"]
    assert out["cart"][count_name("lines")] == 400


@pytest.mark.parametrize("deep", [nested(6, [1, 2]), [[[[1, {"b": 2}]]]]])
def test_what_is_too_deep_becomes_json_text_where_it_is_too_deep(deep: Any) -> None:
    value, given = shaped({"deep": deep})["deep"], deep
    for _ in range(3):
        (value,) = value.values() if isinstance(value, dict) else value
        (given,) = given.values() if isinstance(given, dict) else given
    assert orjson.loads(value) == given


def test_a_value_that_came_as_text_is_that_text_again() -> None:
    text = '{"a": {"b": {"c": {"d": 1}}}}'
    out = shaped({"message_extras": nested(4), "tags": [1]}, message_extras=text)
    assert out == {"message_extras": text, "tags": [1]}


def test_a_text_that_fits_when_parsed_stays_parsed() -> None:
    out = shaped({"extras": {"a": 1}, "tags": [1] * 300}, extras='{"a": 1}')
    assert out["extras"] == {"a": 1}


def test_a_number_never_takes_the_place_of_a_property() -> None:
    out = shaped({"tags": [1] * 300, count_name("tags"): "mine"})
    assert out[count_name("tags")] == "mine"


def test_numbers_need_room_too() -> None:
    out = shaped({f"l{n}": [n] * 300 for n in range(200)})
    assert len(out) + len(KEYS) <= MAX_ITEMS
    assert sum(name.endswith("(count)") for name in out) == 124


def test_json_within_json_is_cut_where_its_quotes_would_make_it_too_large() -> None:
    text = '{"a":"' + "\\\\" * 240_000 + '"}'
    value = nested(4, "\\" * 240_000)
    out = shaped({"extras": value}, extras=text * 2)
    assert out["extras"] == (text * 2)[:MAX_TEXT]
    event = {"event": "Odd", "properties": KEYS | {"a": [["x" * BYTES_PER_EVENT]]}}
    assert reshaped_line(event, KNOWN, {}) is None


@pytest.mark.parametrize("flat", [True, False])
def test_the_texts_that_were_parsed_are_found_in_either_form(flat: bool) -> None:
    text = ' {"a": 1}'
    given = {"message_extras": text, "url": text}
    event = given if flat else {"properties": given}
    sources = {"extras": ("message_extras",), "gone": ("gone",)}
    assert texts_of(event, {"extras": {"a": 1}, "url": text}, sources) == {
        "extras": text
    }


def test_a_text_of_which_a_rule_withholds_a_part_is_written_anew() -> None:
    event = {"message_extras": '{"a": 1, "email": "canary"}'}
    texts = texts_of(
        event, {"message_extras": {"a": 1}}, {"message_extras": ("message_extras",)}
    )
    assert texts == {"message_extras": '{"a":1}'}
