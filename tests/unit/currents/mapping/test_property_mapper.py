"""Names are mapped at once, and a new one is learnt where it cannot collide."""

from typing import Any

import pytest

from bridge.currents.mapping.property_mapper import MAX_LEARNT, PropertyMapper
from bridge.currents.mapping.treatments import LEFT_OUT, Out, Treatment


def test_names_that_a_producer_makes_up_do_not_accumulate() -> None:
    mapper = mapper_of(known="Known")
    for number in range(MAX_LEARNT + 10):
        mapper.properties({f"field_{number}": 1})
    assert len(mapper._treatments) == 1 + MAX_LEARNT
    assert mapper.properties({"one_more": 1}) is None


def upper(out: Out, value: Any) -> None:
    out["shout"] = value.upper()


def mapper_of(**treatments: Treatment) -> PropertyMapper:
    """Of unknown names, `secret` is left out, `$x` renamed, any other unchanged."""
    unknown: dict[str, Treatment] = {"secret": LEFT_OUT, "$x": "[Braze] $x"}
    return PropertyMapper(
        treatments, frozenset({"taken"}), lambda name: unknown.get(name, name)
    )


def test_properties_are_renamed_and_left_out_and_nulls_are_dropped() -> None:
    mapper = mapper_of(a="A", b=LEFT_OUT, c="C", d=LEFT_OUT)
    assert mapper.properties({"a": 1, "b": 2, "c": None, "d": 3}) == {"A": 1}


def test_a_property_that_takes_more_than_a_name_is_written_by_its_treatment() -> None:
    mapper = mapper_of(a="A", word=upper, b=LEFT_OUT)
    for _ in range(2):
        assert mapper.properties({"word": "x", "a": 1, "b": 2}) == {
            "A": 1,
            "shout": "X",
        }
    assert mapper.properties({"a": 1}) == {"A": 1}


@pytest.mark.parametrize(
    ("name", "mapped"), [("new", {"new": 1}), ("secret", {})], ids=["sent", "left out"]
)
def test_an_unknown_name_is_learnt_when_it_is_met(
    name: str, mapped: dict[str, int]
) -> None:
    mapper = mapper_of()
    assert mapper.properties({name: 1}) is None
    assert mapper.properties({name: 1}) == mapped


@pytest.mark.parametrize("name", ["taken", "$x", "with space"])
def test_a_name_that_could_collide_is_never_learnt(name: str) -> None:
    mapper = mapper_of()
    for _ in range(3):
        assert mapper.properties({name: 1}) is None
