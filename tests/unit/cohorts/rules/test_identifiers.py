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

USER_ID = parse_sources("external_id=id")


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
        ({"mixpanel_distinct_id": " \t"}, "no_identifier"),
        ({"mixpanel_distinct_id": "$device:"}, "no_identifier"),
        ({"mixpanel_distinct_id": "$device: "}, "no_identifier"),
        (
            {"$braze_external_id": " null ", "mixpanel_distinct_id": " "},
            "placeholder_identifier",
        ),
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


@pytest.mark.parametrize(
    "absent", [" ", "", "\t\n", "\u00a0", "null", " Unknown ", 0, "$device:", None]
)
def test_a_blank_or_a_placeholder_is_absent_so_that_the_next_entry_is_asked(
    absent: object,
) -> None:
    member = {"mixpanel_distinct_id": "cust-1", "$braze_external_id": absent}
    assert found(member) == Identifier(Kind.EXTERNAL_ID, "cust-1")


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (" u-1\n", Kind.EXTERNAL_ID),
        ("\u00a0u-1", Kind.EXTERNAL_ID),
        (" $device:u-1 ", Kind.DEVICE),
        ("$device: u-1", Kind.DEVICE),
    ],
)
def test_an_identifier_is_trimmed(value: str, kind: Kind) -> None:
    assert found({"mixpanel_distinct_id": value}) == Identifier(kind, "u-1")


def test_a_blank_profile_is_none() -> None:
    result = match_member({"id": "u", "mixpanel_distinct_id": " "}, USER_ID)
    assert isinstance(result, Matched)
    assert result.distinct_id == "u"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (" ada@example.com ", "ada@example.com"),
        ("Ada+1@example.co.uk", "Ada+1@example.co.uk"),
        ("ada", "invalid_email"),
        ("@example.com", "invalid_email"),
        ("ada@", "invalid_email"),
        ("a b@example.com", "invalid_email"),
        ("a@b@c", "invalid_email"),
        ("$device:d-1", "invalid_email"),
        (17, "invalid_email"),
        ("unknown", "placeholder_identifier"),
        (" ", "no_identifier"),
        (["a@b"], "not_text"),
    ],
)
def test_an_email_address_is_an_identifier(value: object, expected: str) -> None:
    result = found({"email": value}, parse_sources("email=email"))
    is_email = "@" in expected
    assert result == (Identifier(Kind.EMAIL, expected) if is_email else expected)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("+15550100017", "+15550100017"),
        (" +4915550100017 ", "+4915550100017"),
        (15550100017, "15550100017"),
        ("+05550100017", "invalid_phone"),
        ("555-0100", "invalid_phone"),
        ("+1 555 0100017", "invalid_phone"),
        ("+1234567890123456", "invalid_phone"),
        ("+1555", "invalid_phone"),
        ("+\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668", "invalid_phone"),
        ("", "no_identifier"),
    ],
)
def test_a_phone_number_is_an_identifier(value: object, expected: str) -> None:
    result = found({"tel": value}, parse_sources("phone=tel"))
    is_phone = expected[-1].isdigit()
    assert result == (Identifier(Kind.PHONE, expected) if is_phone else expected)


def test_the_next_entry_is_asked_where_an_address_is_none() -> None:
    sources = parse_sources("email=email,phone=tel,external_id=mixpanel_distinct_id")
    member = {"email": "none", "tel": "call me", "mixpanel_distinct_id": "u"}
    assert found(member, sources) == Identifier(Kind.EXTERNAL_ID, "u")


@pytest.mark.parametrize("entry", ["email=email", "phone=tel"])
def test_the_partner_route_takes_no_address_and_the_entry_is_named(entry: str) -> None:
    text = f"alias:email=a,{entry},external_id=email"
    assert len(parse_sources(text)) == 3
    with pytest.raises(IdentifiersError, match=f"'{entry}': Braze's cohort import"):
        parse_sources(text, partner=True)
    parse_sources("alias:email=a,external_id=email", partner=True)


def test_the_profile_is_remembered_beside_the_identifier() -> None:
    member = {"mixpanel_distinct_id": "mp-1", "$braze_external_id": "cust-1"}
    result = match_member(member, DEFAULT)
    assert isinstance(result, Matched)
    assert result.distinct_id == "mp-1"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "external_id",
        "external_id=",
        "alias=x",
        "alias:=x",
        "mail=x",
        "email:l=x",
        "phone=",
        "a,b",
    ],
)
def test_a_setting_that_cannot_be_understood_names_the_entry(text: str) -> None:
    with pytest.raises(IdentifiersError, match="IDENTIFIERS"):
        parse_sources(text)


@given(
    st.builds(
        Identifier,
        st.sampled_from([kind for kind in Kind if kind is not Kind.ALIAS]),
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
