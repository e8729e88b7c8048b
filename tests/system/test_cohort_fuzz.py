"""A-fuzz and A-auth: the handler answers any call, and quarantines what it refuses.

Examples are drawn by hypothesis from a fixed source, so that a run repeats the last.
"""

import base64
import hashlib
import json
from collections import Counter
from itertools import count
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.credentials import REFRESH_SECONDS
from functions.cohort_webhook import app
from tests.integration.stack import PASSWORD, forget_secrets
from tests.system.claims import record_claim
from tests.system.doors import Door

QUICK_BODIES, QUICK_HEADERS, QUICK_WRONG, QUICK_ROTATION = 600, 300, 500, 100
BODIES, HEADERS, WRONG, ROTATION = 100_000, 20_000, 10_000, 5_000
BODIES_ON_DYNAMODB = 5_000


def basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


RIGHT = ("authorization", basic("mixpanel", PASSWORD))
JSON_TYPE = ("content-type", "application/json")


def page(**changes: Any) -> dict[str, Any]:
    """A valid call but for what is changed in its parameters."""
    parameters: dict[str, Any] = {
        "mixpanel_project_id": "3300471",
        "mixpanel_cohort_id": "8120045",
        "mixpanel_cohort_name": "Trial",
        "mixpanel_session_id": "6f0b1f0e",
        "page_info": {"total_pages": 1, "page_count": 1},
        "members": [{"mixpanel_distinct_id": "u-1", "email": "ada@example.com"}],
    }
    return {"action": "add_members", "parameters": parameters | changes}


VALID = json.dumps(page()).encode()
TRAPS = [
    b'{"action": NaN}',
    b'{"action": -Infinity}',
    VALID.replace(b'"u-1"', b"NaN"),
    VALID.replace(b'"u-1"', b"1e400"),
    VALID.replace(b'"page_count": 1', b'"page_count": 1e400'),
    VALID.replace(b'"u-1"', b"7" * 5_000),
    VALID.replace(b'"8120045"', b"7" * 4_200),
    b"[" * 100_000,
    b'{"a":' * 100_000,
    VALID.replace(b"[{", b"[" * 900 + b"[{").replace(b"}]", b"}]" + b"]" * 900),
    VALID.replace(b"add_members", b'add_members", "action": "remove_members'),
    VALID.replace(b'"email":', b'"mixpanel_distinct_id": "u-2", "email":'),
    VALID.replace(b"u-1", b"\\ud800"),
    VALID.replace(b"Trial", b"\\udc00 trial"),
    VALID.replace(b"8120045", b"\\ud800"),
    VALID.replace(b"6f0b1f0e", b"\\ud800"),
    json.dumps(page() | {"action": []}).encode(),
    json.dumps(page() | {"action": {"a": 1}}).encode(),
    VALID.replace(b"Trial", b'\\u0000\\u001b[31m\\r\\n{\\"level\\": \\"ERROR\\"}'),
    VALID.replace(b"u-1", b"\\u0000\\u0001"),
    VALID.replace(b"6f0b1f0e", b"\\u0000"),
    VALID.replace(b"8120045", b"../../../etc#C#1"),
    VALID.replace(b"Trial", "Ünïcødé \U0001f984".encode()),
    json.dumps(page()).encode("utf-16"),
    json.dumps(page()).encode("utf-32"),
    b"\xef\xbb\xbf" + VALID,
    b"\xff\xfe" + VALID,
    VALID + b"\x00",
    VALID[:-1],
    b"",
    b" ",
    b"null",
    b"true",
    b'"text"',
    b"[]",
    b"{}",
    json.dumps(page(members=[None, 1, [], "x", {}, {"$distinct_id": {}}])).encode(),
    json.dumps(page(members=[{"mixpanel_distinct_id": True}])).encode(),
    json.dumps(page(members=[{"mixpanel_distinct_id": "x" * 2_000}])).encode(),
    json.dumps(page(page_info=None)).encode(),
    json.dumps(page(page_info={"total_pages": True, "page_count": "1"})).encode(),
]

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["add_members", "8120045", "\x00", "$device:x", "unknown"])
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
PARAMETERS = [*page()["parameters"], "mixpanel_cohort_description", "$x"]
odd_pages = st.builds(
    lambda changes, action: json.dumps(page(**changes) | {"action": action}).encode(),
    st.dictionaries(st.sampled_from(PARAMETERS), values, max_size=3),
    st.sampled_from(["members", "add_members", "remove_members"]) | values,
)
members = st.lists(
    st.dictionaries(
        st.sampled_from(["mixpanel_distinct_id", "$distinct_id", "$braze_external_id"]),
        scalars,
        max_size=3,
    ),
    max_size=5,
)
odd_members = st.builds(lambda m: json.dumps(page(members=m)).encode(), members)


def damage(at: int, cut: int, put: bytes) -> bytes:
    return VALID[:at] + put + VALID[at + cut :]


damaged = st.builds(
    damage, st.integers(0, len(VALID)), st.integers(0, 40), st.binary(max_size=6)
)
bodies = (
    st.sampled_from(TRAPS) | odd_pages | odd_members | damaged | st.binary(max_size=60)
)


def drawn(examples: int) -> Any:
    return settings(
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )


def fuzz_bodies(door: Door, examples: int) -> None:
    statuses: Counter[int] = Counter()
    wrong: list[str] = []

    def check(body: bytes) -> None:
        sent = len(door.queue.sent)
        status, answer = door.call(body, [RIGHT, JSON_TYPE])
        statuses[status] += 1
        quarantined = door.take_quarantine()
        if status == 200:
            fine = len(door.queue.sent) > sent and answer["status"] == "success"
        else:
            digests = [hashlib.sha256(item.original).digest() for item in quarantined]
            fine = (
                status == 400
                and bool(answer["error"]["message"])
                and digests == [hashlib.sha256(body).digest()]
            )
        if not fine:
            wrong.append(f"{status} for {body[:300]!r}")
        assert fine

    for trap in TRAPS:
        check(trap)
    try:
        drawn(examples)(given(bodies)(check))()
    finally:
        record_claim(
            row="A-fuzz, bodies",
            size=f"{statuses.total()} bodies, {len(TRAPS)} of them named traps; ledger "
            f"{'on DynamoDB' if door.ledger is None else 'in memory'}",
            faults="hypothesis, derandomized",
            claim="0 crashes, 0 5xx; 200 is queued, 400 keeps the same bytes",
            result=f"{len(wrong)} wrong; "
            + ", ".join(f"{n} answered {s}" for s, n in sorted(statuses.items())),
        )


def fuzz_headers(door: Door, examples: int) -> None:
    statuses: Counter[int] = Counter()
    prefixes = st.sampled_from(["", "Basic ", "basic ", "Basic  ", "Bearer ", "\t"])
    contents = (
        st.text(max_size=40)
        | st.binary(max_size=40).map(lambda raw: base64.b64encode(raw).decode())
        | st.sampled_from([PASSWORD, "mixpanel:" + PASSWORD, RIGHT[1][6:-1]])
    )
    names = st.sampled_from(
        ["authorization", "Authorization", "content-type", "cookie", "x-a", ""]
    )
    sets = st.lists(
        st.tuples(names, st.builds(str.__add__, prefixes, contents)), max_size=4
    )

    def check(headers: list[tuple[str, str]]) -> None:
        status, answer = door.call(VALID, headers)
        statuses[status] += 1
        # Only a user name and password that are unknown so far are deferred.
        assert status in {401, 503}
        assert answer["error"]["code"] == status

    try:
        drawn(examples)(given(sets)(check))()
    finally:
        record_claim(
            row="A-fuzz, headers",
            size=f"{statuses.total()} header sets",
            faults="hypothesis, derandomized",
            claim="0 crashes, 0 accepted",
            result=", ".join(f"{n} answered {s}" for s, n in sorted(statuses.items())),
        )


def test_a_fuzz_bodies(door: Door) -> None:
    fuzz_bodies(door, QUICK_BODIES)


def test_a_fuzz_headers(door: Door) -> None:
    fuzz_headers(door, QUICK_HEADERS)


@pytest.mark.soak
def test_a_fuzz_bodies_at_full_size(swift_door: Door) -> None:
    fuzz_bodies(swift_door, BODIES)


@pytest.mark.soak
def test_a_fuzz_many_bodies_on_dynamodb(door: Door) -> None:
    fuzz_bodies(door, BODIES_ON_DYNAMODB)


@pytest.mark.soak
def test_a_fuzz_headers_at_full_size(door: Door) -> None:
    fuzz_headers(door, HEADERS)


def wrong_passwords(number: int) -> list[tuple[str, str]]:
    """Near misses of the right pair: cut, longer, other case, look-alikes."""
    pairs: list[tuple[str, str]] = []
    for at in range(len(PASSWORD)):
        letter = PASSWORD[at]
        changed = [letter.swapcase(), chr(ord(letter) + 1), "", letter * 2, "\x00"]
        changed += [letter + "\u0301", chr(ord(letter) + 0xFEE0), " "]
        pairs += [
            ("mixpanel", PASSWORD[:at] + each + PASSWORD[at + 1 :])
            for each in changed
            if each != letter
        ]
        pairs += [("mixpanel", PASSWORD[:at]), ("mixpanel", PASSWORD[at + 1 :])]
    pairs += [
        (user, PASSWORD) for user in ("", "Mixpanel", "mixpanel ", "m\u0456xpanel")
    ]
    longer = len(pairs)
    pairs += [("mixpanel", PASSWORD + "x" * n) for n in range(1, number - longer + 1)]
    return pairs[:number]


def reject_wrong_passwords(door: Door, number: int) -> None:
    statuses = Counter(
        door.call(VALID, [("authorization", basic(*pair)), JSON_TYPE])[0]
        for pair in wrong_passwords(number)
    )
    record_claim(
        row="A-auth, wrong pairs",
        size=f"{statuses.total()} pairs",
        faults="prefix, suffix, case, Unicode look-alikes, length",
        claim="0 accepted; refused once the secret was read since, deferred until then",
        result=f"{statuses[200]} accepted, {statuses[401]} refused, "
        f"{statuses[503]} deferred",
    )
    assert set(statuses) <= {401, 503}
    assert statuses[401]
    assert door.queue.sent == []
    assert door.call(VALID, [RIGHT, JSON_TYPE])[0] == 200


def five_minutes_pass() -> None:
    """For the cache of secrets, which each environment of the function has."""
    app.webhook.cache_clear()
    forget_secrets()


class Failing:
    """Secrets Manager, a reading of which fails now and then."""

    def __init__(self, secret: Any, every: int) -> None:
        self._client, self._every, self._readings = secret._client, every, 0

    def get_secret_value(self, **wanted: str) -> Any:
        self._readings += 1
        if self._readings % self._every == 0:
            raise ClientError({"Error": {"Code": "InternalServiceError"}}, "Get")
        return self._client.get_secret_value(**wanted)


def half_a_minute_passes() -> None:
    secret: Any = app.webhook().secret
    secret._refreshed_at -= REFRESH_SECONDS


def rotate(door: Door, number: int) -> None:
    """Old alone, both, new alone, with a stranger who uses up the readings.

    A sender that is answered 503 calls again half a minute later, as Mixpanel does.
    """
    old, new = basic("mixpanel", PASSWORD), basic("mixpanel", "new-password")
    pairs = [
        {"username": "mixpanel", "password": each}
        for each in (PASSWORD, "new-password")
    ]
    strangers = count(1)

    def put(*credentials: dict[str, str]) -> None:
        door.stack.secrets.put_secret_value(
            SecretId="webhook",
            SecretString=json.dumps({"credentials": list(credentials)}),
        )

    def cold() -> None:
        five_minutes_pass()
        secret: Any = app.webhook().secret
        secret._client = Failing(secret, every=3)

    def answer(header: str) -> int:
        for _ in range(4):
            status = door.call(VALID, [("authorization", header)])[0]
            if status != 503:
                break
            half_a_minute_passes()
        return status

    def answers(header: str, times: int) -> Counter[int]:
        statuses: Counter[int] = Counter()
        for _ in range(times):
            stranger = basic("stranger", f"{next(strangers)}")
            assert door.call(VALID, [("authorization", stranger)])[0] in {401, 503}
            statuses[answer(header)] += 1
        return statuses

    third = number // 3
    put(pairs[0])
    cold()
    before = answers(old, third // 2)
    put(*pairs)
    # At once: the new one is unknown to the cache, and a stranger has just had it read.
    overlap = answers(old, third // 2) + answers(new, third // 2)
    cold()
    overlap += answers(old, third // 2) + answers(new, third // 2)
    put(pairs[1])
    cold()
    gone, after = answers(old, third // 2), answers(new, third // 2)
    total = before + overlap + gone + after
    record_claim(
        row="A-auth, rotation",
        size=f"{total.total()} calls: one, both, the other; as many of a stranger",
        faults="the secret is changed twice; every third reading of it fails",
        claim="0 refused in the overlap, all refused after it",
        result=f"{overlap.total() - overlap[200]} of {overlap.total()} refused in the "
        f"overlap, {gone[401]} of {gone.total()} refused after it",
    )
    assert set(before) == set(overlap) == set(after) == {200}
    assert set(gone) == {401}


def test_a_auth_wrong_pairs(door: Door) -> None:
    reject_wrong_passwords(door, QUICK_WRONG)


def test_a_auth_rotation(door: Door) -> None:
    rotate(door, QUICK_ROTATION)


@pytest.mark.soak
def test_a_auth_wrong_pairs_at_full_size(door: Door) -> None:
    reject_wrong_passwords(door, WRONG)


@pytest.mark.soak
def test_a_auth_rotation_at_full_size(swift_door: Door) -> None:
    rotate(swift_door, ROTATION)
