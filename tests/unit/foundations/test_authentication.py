"""Basic credentials and bearer tokens: what opens, and what does not."""

import base64
import hmac
import io
import json
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from bridge import authentication
from bridge.authentication import (
    admits,
    basic_knows,
    basic_matches,
    bearer_matches,
    count_refusal,
    key_matches,
)
from bridge.credentials import (
    CACHE_SECONDS,
    MAX_SHOWN,
    PAUSE_SECONDS,
    REFRESH_SECONDS,
    BasicCredential,
    CurrentsCredentials,
    Secret,
)
from bridge.errors import RetryableError
from bridge.observability import Metric
from tests.unit.scripted_aws import Refusal, ScriptedAws

CREDENTIALS = [
    BasicCredential(username="mixpanel", password=SecretStr("with:colon")),
    BasicCredential(username="other", password=SecretStr("pässwörd")),
]
TOKENS = [SecretStr("dG9rZW4="), SecretStr("second")]


def basic(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "header",
    [
        f"Basic {basic('mixpanel:with:colon')}",
        f"basic {basic('mixpanel:with:colon')}",
        f"Basic  {basic('other:pässwörd')}",
    ],
)
def test_each_credential_of_the_list_opens(header: str) -> None:
    assert basic_matches(header, CREDENTIALS)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Basic",
        f"Basic {basic('mixpanel:with')}",
        f"Basic {basic('mixpanel:')}",
        f"Basic {basic('mixpanel')}",
        f"Basic {basic('mixpanel:pässwörd')}",
        f"Basic {basic('mixpanel:with:colon')}junk!",
        f"Bearer {basic('mixpanel:with:colon')}",
    ],
)
def test_nothing_else_opens(header: str | None) -> None:
    assert not basic_matches(header, CREDENTIALS)


@given(st.text() | st.builds("Basic {}".format, st.text()))
def test_no_header_whatever_crashes_or_opens(header: str) -> None:
    assert not basic_matches(header, CREDENTIALS)
    assert not bearer_matches(header, TOKENS)


def test_an_empty_secret_opens_nothing() -> None:
    empty = [BasicCredential(username="", password=SecretStr(""))]
    assert not basic_matches(f"Basic {basic(':')}", empty)
    assert not bearer_matches("Bearer ", [SecretStr("")])


def test_a_key_of_a_body_is_compared_whatever_came_in_its_place() -> None:
    assert key_matches("dG9rZW4=", TOKENS)
    assert key_matches("second", TOKENS)
    odd: list[object] = [None, 7, [], ["second"], {}, True, "", "secon", "\ud800"]
    assert not any(key_matches(each, TOKENS) for each in odd)
    assert not key_matches("", [SecretStr("")])
    assert not key_matches("second", [])


def test_every_key_of_the_list_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    same = hmac.compare_digest

    def noted(left: bytes, right: bytes) -> bool:
        compared.append(right)
        return same(left, right)

    monkeypatch.setattr(hmac, "compare_digest", noted)
    assert key_matches("dG9rZW4=", TOKENS)
    assert len(compared) == len(TOKENS)


def test_each_token_of_the_list_opens() -> None:
    assert bearer_matches("Bearer dG9rZW4=", TOKENS)
    assert bearer_matches("bearer second", TOKENS)
    assert not bearer_matches("Bearer dG9rZW4", TOKENS)
    assert not bearer_matches("dG9rZW4=", TOKENS)
    assert not bearer_matches("Bearer \ud800", TOKENS)


class Door:
    """A secret that somebody rotates, and callers who come with a token."""

    def __init__(self, *values: str | Refusal) -> None:
        self.seconds = 1000.0
        self.aws = ScriptedAws(
            "secretsmanager",
            *(
                value
                if isinstance(value, Refusal)
                else {"SecretString": json.dumps({"tokens": value.split()})}
                for value in values
            ),
        )
        self.secret = Secret(
            "arn:secret",
            CurrentsCredentials,
            client=self.aws.client,
            clock=lambda: self.seconds,
        )

    def call(self, token: str) -> int:
        """The status; each call comes a moment after the last."""
        self.seconds += 0.01
        try:
            admitted = admits(
                self.secret, lambda known: key_matches(token, known.tokens), shown=token
            )
        except RetryableError:
            return 503
        return 200 if admitted else 401


def holds(token: str, known: CurrentsCredentials) -> bool:
    return key_matches(token, known.tokens)


DOWN = Refusal("InternalServiceError")


def test_a_caller_with_the_cached_credentials_costs_no_reading() -> None:
    door = Door("old")
    assert [door.call("old"), door.call("old")] == [200, 200]
    assert len(door.aws.asked) == 1


def test_a_mismatch_reads_the_secret_again_for_it_may_have_been_rotated() -> None:
    door = Door("old", "new")
    assert door.call("old") == 200
    assert door.call("new") == 200
    assert len(door.aws.asked) == 2


def test_nobody_is_refused_before_the_secret_was_read_since_they_came() -> None:
    """A14 with a stranger about, who has used up the reading of this half minute."""
    door = Door("old", "old", "old new")
    assert door.call("old") == 200
    assert door.call("stranger") == 401, "read since"
    # Now the secret is rotated, and the sender changed.
    assert door.call("new") == 503
    assert door.call("old") == 200
    door.seconds += REFRESH_SECONDS
    assert door.call("another stranger") == 401
    assert [door.call("new"), door.call("old")] == [200, 200]
    assert len(door.aws.asked) == 3


def test_who_is_wrong_is_told_so_after_the_next_reading_whoever_caused_it() -> None:
    door = Door("old", "old", "old")
    assert [door.call(each) for each in ("old", "first", "wrong")] == [200, 401, 503]
    door.seconds += REFRESH_SECONDS
    assert [door.call(each) for each in ("first", "wrong", "wrong")] == [401, 401, 401]
    assert len(door.aws.asked) == 3


def test_a_reading_that_fails_does_not_lock_the_next_one_out() -> None:
    door = Door("old", DOWN, "old new")
    assert [door.call(each) for each in ("old", "new", "new")] == [200, 503, 200]


def test_a_cold_door_that_cannot_read_its_secret_refuses_nobody() -> None:
    door = Door(DOWN, DOWN, "old")
    assert [door.call(each) for each in ("old", "stranger", "old")] == [503, 503, 200]


def test_known_credentials_open_for_an_hour_while_none_can_be_read(
    logged: io.StringIO,
) -> None:
    door = Door("old", *[DOWN] * 40)
    assert door.call("old") == 200
    assert logged.getvalue() == ""
    for _ in range(11):
        door.seconds += 310
        assert door.call("old") == 200
    assert "secret served from the cache" in logged.getvalue()
    assert door.call("new") == 503
    door.seconds += 310
    assert door.call("old") == 503


def test_an_outage_costs_a_known_caller_one_reading_in_some_seconds() -> None:
    door = Door("old", DOWN, "old")
    door.call("old")
    door.seconds += CACHE_SECONDS
    assert [door.call("old") for _ in range(20)] == [200] * 20
    assert len(door.aws.asked) == 2
    door.seconds += PAUSE_SECONDS
    assert door.call("old") == 200
    assert len(door.aws.asked) == 3


def test_strangers_do_not_fill_the_memory() -> None:
    door = Door("old", "old")
    for number in range(MAX_SHOWN + 50):
        door.call(f"stranger {number}")
    assert len(door.secret._shown) == MAX_SHOWN


def test_a_caller_who_presents_nothing_costs_no_reading() -> None:
    door = Door("old")
    assert not admits(door.secret, lambda _: False, presented=False)
    assert door.aws.asked == []


def test_a_token_that_was_valid_before_wakes_somebody_and_a_strangers_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    door = Door("new", "old", "new")
    counted: list[Metric] = []
    monkeypatch.setattr(authentication, "count", counted.append)
    assert door.call("new") == 200
    for token in ("old", "stranger", "new"):
        count_refusal(door.secret, partial(holds, token))
    assert counted == [Metric.UNAUTHORIZED, Metric.STRANGERS, Metric.UNAUTHORIZED]
    stages = [asked.get("VersionStage") for _, asked in door.aws.asked]
    assert stages == [None, "AWSPREVIOUS"]


def test_a_secret_that_was_never_rotated_has_no_former_keys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    door = Door("new", Refusal("ResourceNotFoundException"))
    counted: list[Metric] = []
    monkeypatch.setattr(authentication, "count", counted.append)
    door.call("new")
    count_refusal(door.secret, partial(holds, "old"))
    assert counted == [Metric.STRANGERS]


def test_a_user_name_that_we_know_is_known_whatever_the_password() -> None:
    assert basic_knows(f"Basic {basic('mixpanel:wrong')}", CREDENTIALS)
    assert not basic_knows(f"Basic {basic('admin:with:colon')}", CREDENTIALS)
    assert not basic_knows(None, CREDENTIALS)
    assert not basic_knows("Basic !!!", CREDENTIALS)
