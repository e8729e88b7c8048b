"""The cohort import as we offer it: Braze's texts, and no key in what is kept."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.braze.partner_cohorts import server
from bridge.braze.partner_cohorts.server import CohortChange, CohortChanges, Naming
from bridge.errors import MalformedInput

NAMING = {"cohort_id": "7", "name": "Trial", "created_at": "2031-04-05T06:07:08Z"}


def changes(*listed: Any, cohort_id: Any = "7") -> dict[str, Any]:
    return {"cohort_id": cohort_id, "cohort_changes": list(listed)}


@pytest.mark.parametrize(
    "created_at",
    ["2031-04-05T06:07:08Z", "2031-04-05T06:07:08+02:00", "2031-04-05T06:07:08.123Z"],
)
def test_a_cohort_is_named(created_at: str) -> None:
    call = NAMING | {"created_at": created_at}
    assert server.read_naming(call) == Naming("7", "Trial")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"cohort_id": 7}, server.WRONG_COHORT),
        ({"cohort_id": ""}, server.WRONG_COHORT),
        ({"cohort_id": None}, server.WRONG_COHORT),
        ({"cohort_id": "x" * 101}, server.WRONG_COHORT),
        ({"cohort_id": "\ud800"}, server.WRONG_COHORT),
        ({"name": ""}, server.WRONG_NAME),
        ({"name": "  "}, server.WRONG_NAME),
        ({"name": 7}, server.WRONG_NAME),
        ({"name": "\ud800"}, server.WRONG_NAME),
        ({"created_at": "yesterday"}, server.WRONG_TIME),
        ({"created_at": 1}, server.WRONG_TIME),
        ({"created_at": None}, server.WRONG_TIME),
    ],
)
def test_a_wrong_name_is_refused_in_brazes_words(
    wrong: dict[str, Any], says: str
) -> None:
    with pytest.raises(MalformedInput) as caught:
        server.read_naming(NAMING | wrong)
    assert str(caught.value) == says


def test_all_kinds_and_both_directions_are_read() -> None:
    alias = {"alias_name": "a", "alias_label": "l"}
    call = changes(
        {"user_ids": ["u"], "device_ids": ["d"], "aliases": [alias]},
        {"aliases": alias, "should_remove": True},
        {"user_ids": [], "should_remove": False},
    )
    assert server.read_changes(call) == CohortChanges(
        "7",
        [
            CohortChange(True, ["u"], ["d"], [("a", "l")]),
            CohortChange(False, [], [], [("a", "l")]),
            CohortChange(True, [], [], []),
        ],
    )


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        {},
        "x",
        [7],
        [{}],
        [{"should_remove": True}],
        [{"user_ids": "u"}],
        [{"user_ids": [7]}],
        [{"user_ids": None}],
        [{"device_ids": [None]}],
        [{"aliases": ["a"]}],
        [{"aliases": [{"alias_name": "a"}]}],
        [{"aliases": [{"alias_name": "a", "alias_label": ""}]}],
        [{"aliases": "a"}],
        [{"user_ids": ["u"], "should_remove": "true"}],
    ],
)
def test_wrong_changes_are_refused_in_brazes_words(wrong: Any) -> None:
    with pytest.raises(MalformedInput) as caught:
        server.read_changes({"cohort_id": "7", "cohort_changes": wrong})
    assert str(caught.value) == server.WRONG_CHANGES


def test_no_more_than_a_thousand_ids_of_all_kinds() -> None:
    ids = [f"u{n}" for n in range(998)]
    alias = {"alias_name": "a", "alias_label": "l"}
    call = [{"user_ids": ids, "device_ids": ["d"]}, {"aliases": [alias]}]
    server.read_changes(changes(*call))
    with pytest.raises(MalformedInput) as caught:
        server.read_changes(changes(*call, {"device_ids": ["e"]}))
    assert str(caught.value) == server.TOO_MANY


secrets = st.text(st.characters(exclude_categories=["Cs"]), min_size=12).filter(
    lambda text: not text.isspace()
)


@given(secrets, secrets, st.booleans(), st.booleans())
def test_what_is_kept_holds_no_key(
    partner_key: str, client_secret: str, ascii_only: bool, whole: bool
) -> None:
    call = {
        "partner_api_key": partner_key,
        "client_secret": client_secret,
        "cohort_id": "7",
        "name": f"oddly {client_secret}",
    }
    body = json.dumps(call, ensure_ascii=ascii_only).encode()
    data = call if whole else None
    kept = server.without_keys(body, data)
    assert b'"cohort_id": "7"' in kept
    for key in (partner_key, client_secret):
        assert json.dumps(key)[1:-1].encode() not in kept
        assert key.encode() not in kept


@pytest.mark.parametrize("cut", [48, 60, 70, 71, 90])
def test_a_body_that_is_cut_off_keeps_no_key_and_its_keys_can_be_read(cut: int) -> None:
    body = b'{"partner_api_key": "canary-a", "client_secret" : "canary-bbbb", "x'[:cut]
    kept = server.without_keys(body, None)
    assert b"canary" not in kept
    assert server.keys_in(body).partner_api_key == "canary-a"
    expected = "canary-bbbb"[: max(cut - 51, 0)] or None
    assert server.keys_in(body).client_secret == expected


def test_keys_do_not_show() -> None:
    keys = server.keys_of({"partner_api_key": "canary", "client_secret": "x"})
    assert "canary" not in repr(keys)


def test_a_key_that_never_ends_is_read_in_passing() -> None:
    """Anybody may send it; going back byte by byte would take a gigabyte."""
    body = b'x"client_secret":"' + b"a" * 3_000_000
    assert server.keys_in(body + b"\\").client_secret is None
    assert server.without_keys(body, None) == b'x"client_secret":"[secret]"'
