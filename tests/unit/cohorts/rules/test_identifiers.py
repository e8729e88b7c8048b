"""Which identifier a member has in Braze: requirements R4, R5 and R6."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.cohorts.rules.identifiers import (
    Identifier,
    IdentifiersError,
    Kind,
    Matched,
    Skipped,
    Source,
    match_member,
    parse_sources,
)

DEFAULT = parse_sources(
    "external_id=$braze_external_id,external_id=mixpanel_distinct_id"
)


def found(member: object, sources: tuple[Source, ...] = DEFAULT) -> Identifier | str:
    result = match_member(member, sources)
    return result.identifier if isinstance(result, Matched) else result.reason


def test_r4_the_braze_external_id_goes_before_the_distinct_id() -> None:
    member = {"mixpanel_distinct_id": "mp-1", "$braze_external_id": "cust-1"}
    assert found(member) == Identifier(Kind.EXTERNAL_ID, "cust-1")
    assert found({"mixpanel_distinct_id": "mp-1"}).value == "mp-1"  # type: ignore[union-attr]


def test_r4_an_alias_is_matched_by_its_label() -> None:
    sources = parse_sources("alias:amplitude=user_ref")
    assert found({"user_ref": "a-7"}, sources) == Identifier(
        Kind.ALIAS, "a-7", "amplitude"
    )


def test_r5_an_anonymous_distinct_id_is_a_device() -> None:
    assert found({"mixpanel_distinct_id": "$device:d-1"}) == Identifier(
        Kind.DEVICE, "d-1"
    )
    assert found({"idfv": "d-2"}, parse_sources("device=idfv")) == Identifier(
        Kind.DEVICE, "d-2"
    )


def test_numbers_are_taken_as_text() -> None:
    assert found({"mixpanel_distinct_id": 17}) == Identifier(Kind.EXTERNAL_ID, "17")


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (None, "not_an_object"),
        ("cust-1", "not_an_object"),
        ({}, "no_identifier"),
        ({"email": "ada@example.com"}, "no_identifier"),
        ({"mixpanel_distinct_id": ""}, "no_identifier"),
        ({"mixpanel_distinct_id": True}, "not_text"),
        ({"mixpanel_distinct_id": ["a"]}, "not_text"),
        ({"mixpanel_distinct_id": "Unknown"}, "placeholder_identifier"),
        ({"mixpanel_distinct_id": "$device:null"}, "placeholder_identifier"),
        ({"mixpanel_distinct_id": "é" * 494}, "identifier_too_long"),
        ({"mixpanel_distinct_id": "\ud800"}, "invalid_text"),
    ],
)
def test_who_cannot_be_matched_is_skipped_with_a_reason(
    member: object, reason: str
) -> None:
    assert found(member) == reason


def test_the_longest_external_id_counts_in_bytes() -> None:
    assert isinstance(
        match_member({"mixpanel_distinct_id": "é" * 493}, DEFAULT), Matched
    )


def test_an_unusable_identifier_gives_way_to_the_next() -> None:
    member = {"mixpanel_distinct_id": "cust-1", "$braze_external_id": "null"}
    assert found(member) == Identifier(Kind.EXTERNAL_ID, "cust-1")


def test_the_profile_is_remembered_beside_the_identifier() -> None:
    member = {"mixpanel_distinct_id": "mp-1", "$braze_external_id": "cust-1"}
    result = match_member(member, DEFAULT)
    assert isinstance(result, Matched)
    assert result.distinct_id == "mp-1"


@pytest.mark.parametrize(
    "text", ["", "external_id", "external_id=", "alias=x", "alias:=x", "email=x", "a,b"]
)
def test_a_setting_that_cannot_be_understood_names_the_entry(text: str) -> None:
    with pytest.raises(IdentifiersError, match="IDENTIFIERS"):
        parse_sources(text)


@given(
    st.builds(
        Identifier,
        st.sampled_from([Kind.EXTERNAL_ID, Kind.DEVICE]),
        st.text(min_size=1),
    )
    | st.builds(Identifier, st.just(Kind.ALIAS), st.text(), st.text(min_size=1))
)
def test_keys_and_identifiers_correspond_one_to_one(identifier: Identifier) -> None:
    assert Identifier.from_key(identifier.key) == identifier


def test_every_member_is_matched_or_has_a_reason() -> None:
    @given(st.dictionaries(st.text(), st.integers() | st.text() | st.none()))
    def is_matched_or_skipped(member: dict[str, object]) -> None:
        result = match_member(member, DEFAULT)
        assert isinstance(result, Matched) or result.reason

    is_matched_or_skipped()
    assert Skipped("x").reason == "x"
