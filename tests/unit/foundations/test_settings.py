"""The environment: what is refused, and that the message says what to change."""

import pytest

from bridge.settings import (
    MAX_ATTRIBUTE_PREFIX,
    RESERVED_ATTRIBUTES,
    CohortConsumerSettings,
    CohortRoute,
    SettingsError,
)

ENVIRONMENT = {
    "LEDGER_TABLE": "ledger",
    "COHORT_QUEUE_URL": "queue",
    "DATA_BUCKET": "data",
    "BRAZE_SECRET_ARN": "arn",
    "BRAZE_REST_ENDPOINT": "https://rest.iad-01.braze.com",
}


def load(**changes: str) -> CohortConsumerSettings:
    return CohortConsumerSettings.load(ENVIRONMENT | changes)


def test_the_attribute_route_is_the_default() -> None:
    settings = load()
    assert settings.cohort_route is CohortRoute.ATTRIBUTE
    assert (settings.cohort_attribute, settings.cohort_form) == (
        "mixpanel_cohorts",
        "array",
    )
    assert (settings.braze_partner, settings.braze_workspace) == ("mixpanel", "")


@pytest.mark.parametrize("name", [*sorted(RESERVED_ATTRIBUTES), " external_id ", " "])
def test_a_field_of_brazes_own_is_no_name_for_the_attribute(name: str) -> None:
    with pytest.raises(SettingsError, match="COHORT_ATTRIBUTE"):
        load(COHORT_ATTRIBUTE=name)


def test_spaces_around_the_attributes_name_are_not_part_of_it() -> None:
    assert load(COHORT_ATTRIBUTE=" cohorts ").cohort_attribute == "cohorts"


def test_the_boolean_form_leaves_room_for_the_cohorts_id() -> None:
    load(COHORT_FORM="boolean", COHORT_ATTRIBUTE="x" * MAX_ATTRIBUTE_PREFIX)
    long = "x" * (MAX_ATTRIBUTE_PREFIX + 1)
    load(COHORT_ATTRIBUTE=long)
    with pytest.raises(SettingsError, match=r"COHORT_FORM.*at most 150"):
        load(COHORT_FORM="boolean", COHORT_ATTRIBUTE=long)


@pytest.mark.parametrize("name", ["", "a/b", "a b", "..", "é", "x" * 65])
def test_a_partners_name_is_a_plain_part_of_a_path(name: str) -> None:
    with pytest.raises(SettingsError, match="BRAZE_PARTNER"):
        load(BRAZE_PARTNER=name)


def test_a_route_that_does_not_exist_is_refused() -> None:
    with pytest.raises(SettingsError, match="COHORT_ROUTE"):
        load(COHORT_ROUTE="segment")


HOSTILE = [
    "https://rest.evil.example\\.braze.com",
    "https://rest.evil.example%2f.braze.com",
    "https://rest.evil.example;.braze.com",
    "https://rest.evil.example .braze.com",
    "https://rest.evil.example\t.braze.com",
    "https://rest.evil.example。braze.com",
    "https://rest..braze.com",
    "https://rest.iad-01.braze.com.evil.example",
    "https://rest.iad-01.braze.com@evil.example",
    "https://evil.example/rest.iad-01.braze.com",
    "https://evil.example#rest.iad-01.braze.com",
    "https://rest.iad-01.braze.com:8443",
    "https://user@rest.iad-01.braze.com",
    "https://user:pass@rest.iad-01.braze.com",
    "https://rest.iad-01.braze.com?",
    "https://rest.iad-01.braze.com#",
    "https://rest.iad-01.braze.com//",
    "https://rest.iad-01.braze.com/users",
    " https://rest.iad-01.braze.com",
    "https://rest.iad-01.braze.com\n",
    "http://rest.iad-01.braze.com",
    "ftp://rest.iad-01.braze.com",
    "//rest.iad-01.braze.com",
    "https://REST.IAD-01.BRAZE.COM",
    "https://rest.iad-01.brazeXcom",
    "https://rest.iad-01.braze.net",
    "https://braze.com",
    "https://169.254.169.254",
    "https://[::1]",
    "https://localhost",
    "http://localhost:80",
    "http://127.0.0.1:80/path",
    "http://127.0.0.1:80?x",
    "http://127.0.0.1:80#x",
    "http://user@127.0.0.1:80",
    "http://127.0.0.1:80@evil.example",
    "http://127.0.0.1.evil.example",
    "http://127.1",
    "http://2130706433",
    "file:///etc/passwd",
    "",
]


@pytest.mark.parametrize("url", HOSTILE)
def test_a_key_goes_to_no_other_host(url: str) -> None:
    with pytest.raises(SettingsError, match="BRAZE_REST_ENDPOINT"):
        load(BRAZE_REST_ENDPOINT=url)
