"""Attribute values: the same as boto3's for every kind that we keep."""

from decimal import Decimal
from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from hypothesis import given
from hypothesis import strategies as st

from bridge.aws.attribute_values import deserialize, serialize

NUMBERS = st.integers(-(10**37), 10**37)
KEPT = st.recursive(
    st.booleans()
    | NUMBERS
    | st.text()
    | st.sets(st.text(), min_size=1)
    | st.sets(NUMBERS, min_size=1),
    lambda inner: st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def unordered(value: Any) -> Any:
    """A set goes over the wire as a list, in any order."""
    if isinstance(value, dict):
        return {name: unordered(item) for name, item in value.items()}
    return sorted(value) if isinstance(value, list) else value


@given(KEPT)
def test_values_are_written_as_boto3_writes_them_and_read_as_it_reads(
    value: Any,
) -> None:
    theirs = TypeSerializer().serialize(value)
    assert unordered(serialize(value)) == unordered(theirs)
    assert deserialize(theirs) == TypeDeserializer().deserialize(theirs) == value


@pytest.mark.parametrize(
    "value", [None, 1.5, Decimal(1), b"bytes", [], set(), {1, "a"}, {True, 2}]
)
def test_what_we_do_not_keep_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        serialize(value)


@pytest.mark.parametrize("value", [{"NULL": True}, {"L": []}, {"B": b""}, {"N": "1.5"}])
def test_what_we_did_not_write_is_not_read_as_something_else(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        deserialize(value)
