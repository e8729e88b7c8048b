"""A value reads the same in both forms."""

import pytest

from bridge.currents.mapping.values import as_text, parse_json_text, shortest_float32


@pytest.mark.parametrize(
    ("over_http", "stored", "expected"),
    [
        (3.14, 3.140000104904175, 3.14),
        (123456.78, 123456.78125, 123456.78),
        (19.99, 19.989999771118164, 19.99),
        (10, 10.0, 10.0),
        (0.1, 0.10000000149011612, 0.1),
        (-0.0, -0.0, -0.0),
        (16_777_217, 16_777_216.0, 16_777_216.0),
        ("free", "free", "free"),
        (1e39, 1e39, 1e39),
    ],
)
def test_a_number_of_32_bits_is_the_shortest_that_it_can_be(
    over_http: object, stored: object, expected: object
) -> None:
    assert shortest_float32(over_http) == shortest_float32(stored) == expected


@pytest.mark.parametrize(
    ("value", "text"), [(True, "true"), (False, "false"), ("true", "true"), (1, 1)]
)
def test_a_boolean_becomes_its_text_and_nothing_else_does(
    value: object, text: object
) -> None:
    assert as_text(value) == text


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ('{"a": 1}', {"a": 1}),
        ("[1]", [1]),
        ("{broken", "{broken"),
        ({"a": 1}, {"a": 1}),
    ],
)
def test_a_json_text_is_parsed_and_any_other_value_stays(
    value: object, read: object
) -> None:
    assert parse_json_text(value) == read
