"""What Mixpanel says of a rejected event is fit for a log, its values struck."""

import pytest

from bridge.mixpanel.rejections import plain_field, plain_message


@pytest.mark.parametrize(
    "field",
    [
        "properties.url",
        "properties.$insert_id",
        "$insert_id",
        "event",
        "properties.[Custom event property] tags",
        "properties.[Custom event property] Größe",
        "properties.[Purchase property] size-2 of box",
        "[Braze Custom Event] Video Watched",
    ],
)
def test_a_name_is_shown_under_our_prefixes_too(field: str) -> None:
    assert plain_field(field) == field


@pytest.mark.parametrize(
    "field",
    [
        "properties.canary@example.com",
        "properties.[Custom event property] canary@example.com",
        "properties.[Custom event property] 4917012345",
        "properties.id 4917012345",
        "properties.[canary@example.com] x",
        "x" * 200,
    ],
)
def test_what_may_be_a_value_is_not(field: str) -> None:
    assert plain_field(field) == "(no plain name)"


@pytest.mark.parametrize(
    ("field", "message", "shown"),
    [
        (
            "properties.time",
            "'properties.time' is invalid: must not be in the future",
            "'properties.time' is invalid: must not be in the future",
        ),
        (
            "$insert_id",
            "'$insert_id' is invalid: must only contain hyphen '-' characters",
            "'$insert_id' is invalid: must only contain hyphen '…' characters",
        ),
        ("properties.url", "canary-1 of cust-7 is odd", "… of … is …"),
        (
            "",
            "must be below 255, not 4711 (canary canary)",
            "must be below 255, not … (…",
        ),
        ("a@b.c", "'a@b.c' is invalid", "'(no plain name)' is invalid"),
        ("event", "Ada Lovelace, ada@example.com", "…"),
    ],
)
def test_of_a_message_only_what_quotes_nobody_is_shown(
    field: str, message: str, shown: str
) -> None:
    assert plain_message(message, field).rstrip(" )") == shown
