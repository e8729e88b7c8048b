"""Keys that went astray: struck wherever they stand, and found without a long look."""

import json

import pytest

from bridge.braze.partner_cohorts import keys, server

KEY = "canary-key-0123"
OTHER = "canary-secret-4567"
NAMES = ("partner_api_key", "client_secret")
CALL = {NAMES[0]: KEY, NAMES[1]: OTHER, "cohort_id": "7"}

ASTRAY = {
    "as Braze has them": json.dumps(CALL),
    "compact": json.dumps(CALL, separators=(",", ":")),
    "in a list": json.dumps({name: [key] for name, key in CALL.items()}),
    "in lists of lists": json.dumps({NAMES[0]: [["x", KEY]], NAMES[1]: [{"a": OTHER}]}),
    "in an inner object": json.dumps({"auth": {"keys": CALL}}),
    "as inner objects": json.dumps({n: {"value": k} for n, k in CALL.items()}),
    "beside brackets in texts": json.dumps(
        {n: {"a": "]}", "v": CALL[n]} for n in NAMES}
    ),
    "in single quotes": str(CALL),
    "in single quotes in a list": str({name: [key] for name, key in CALL.items()}),
    "in JSON text": json.dumps({"payload": json.dumps(CALL)}),
    "in JSON text in JSON text": json.dumps([json.dumps({"p": json.dumps(CALL)})]),
    "in JSON text as a list": json.dumps(json.dumps({n: [CALL[n]] for n in NAMES})),
    "as a form": f"{NAMES[0]}={KEY}&{NAMES[1]}={OTHER}&cohort_id=7",
    "in a form as JSON": "p=%7B%22partner_api_key%22%3A%22"
    f"{KEY}%22%2C%22client_secret%22%3A%22{OTHER}%22%7D",
    "as lines": f"{NAMES[0]}: {KEY}\n{NAMES[1]} = {OTHER}\n",
    "without quotation marks": f"{{{NAMES[0]}: {KEY}, {NAMES[1]}: {OTHER}}}",
    "as XML": f"<{NAMES[0]}>{KEY}</{NAMES[0]}><{NAMES[1]}>{OTHER}</{NAMES[1]}>",
    "as tuples": str(list(CALL.items())),
    "in Ruby": f'{{"{NAMES[0]}" => "{KEY}", :{NAMES[1]} => "{OTHER}"}}',
    "by other spellings": json.dumps({"partnerApiKey": KEY, "Client-Secret": OTHER}),
    "by escaped names": json.dumps(CALL).replace("_", "\\u005f"),
    "in UTF-16": json.dumps(CALL).encode("utf-16-le").decode("latin-1"),
    "cut off": json.dumps({**CALL, "z": 1})[: json.dumps(CALL).index(OTHER) + 12],
    "elsewhere too": json.dumps({**CALL, "name": f"{KEY} and {OTHER}"}),
    "twice": json.dumps(CALL)[:-1] + "," + json.dumps(CALL)[1:],
    "after what never ends": '{"client_secret": [[[[' + json.dumps(CALL),
}


@pytest.mark.parametrize("notation", ASTRAY)
def test_keys_are_struck_wherever_they_stand(notation: str) -> None:
    kept = server.without_keys(ASTRAY[notation].encode("latin-1"), None)
    assert b"canary" not in kept.replace(b"\0", b"")
    assert b"[secret]" in kept


def test_what_has_no_keys_stays_as_it_is() -> None:
    for body in (
        b"",
        b"{",
        b"\xff\x00\\u12",
        b'{"client_secrets": 7}',
        b"client_secret",
    ):
        assert server.without_keys(body, None) == body


def test_all_else_stays() -> None:
    body = json.dumps(
        {"cohort_id": "7", **CALL, "cohort_changes": [{"user_ids": ["u"]}]}
    )
    kept = json.loads(server.without_keys(body.encode(), None))
    assert kept == {**json.loads(body), NAMES[0]: "[secret]", NAMES[1]: "[secret]"}


@pytest.mark.parametrize(
    "part",
    [b"\\", b'"', b"'", b"[", b'"client_secret"', b"partner_", b"client_secret:"],
)
def test_striking_takes_time_that_grows_with_the_body_alone(part: bytes) -> None:
    """Going back over a megabyte of these for each of them would take for ever."""
    keys.strike_keys(b"client_secret: " + part * (1_000_000 // len(part)))


def test_a_small_look_finds_keys_and_nothing_that_is_longer_than_one() -> None:
    long = json.dumps({"client_secret": "x" * keys.MAX_KEY_BYTES, **CALL}).encode()
    assert keys.find_key(long, "partner_api_key") == KEY
    behind = json.dumps({"note": "x" * 100_000, **CALL}).encode()
    assert keys.find_key(behind, "client_secret") == OTHER
    assert keys.find_key(b'"client_secret" "client_secret":7', "client_secret") is None
    many = b'"client_secret",' * keys.MAX_MENTIONS + json.dumps(CALL).encode()
    assert keys.find_key(many, "client_secret") is None
