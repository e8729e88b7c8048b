"""Basic credentials and bearer tokens: what opens, and what does not."""

import base64
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from bridge.authentication import (
    admits,
    basic_matches,
    bearer_matches,
    key_matches,
)
from bridge.credentials import BasicCredential, CurrentsCredentials, Secret
from tests.unit.scripted_aws import ScriptedAws

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


def rotated() -> tuple[Secret[CurrentsCredentials], ScriptedAws]:
    """A secret that is cached as it was before it was rotated."""
    aws = ScriptedAws(
        "secretsmanager",
        *({"SecretString": json.dumps({"token": token})} for token in ("old", "new")),
    )
    secret = Secret("arn:secret", CurrentsCredentials, client=aws.client)
    secret.get()
    return secret, aws


def test_a_caller_with_the_cached_credentials_costs_no_reading() -> None:
    secret, aws = rotated()
    assert admits(secret, lambda known: key_matches("old", known.tokens))
    assert len(aws.asked) == 1


def test_a_mismatch_reads_the_secret_again_for_it_may_have_been_rotated() -> None:
    secret, aws = rotated()
    assert admits(secret, lambda known: key_matches("new", known.tokens))
    assert len(aws.asked) == 2
    assert not admits(secret, lambda known: key_matches("neither", known.tokens))


def test_a_caller_who_presents_nothing_costs_no_reading() -> None:
    secret, aws = rotated()
    assert not admits(secret, lambda _: False, presented=False)
    assert len(aws.asked) == 1
