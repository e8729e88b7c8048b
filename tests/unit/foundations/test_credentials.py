"""Secrets: typed, cached, refreshed once, and never shown."""

import json
from typing import Any

import pytest
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError

from bridge.credentials import (
    REFRESH_SECONDS,
    BrazeCredentials,
    CurrentsCredentials,
    MixpanelCredentials,
    Secret,
    SecretModel,
    WebhookCredentials,
)
from bridge.errors import RetryableError
from bridge.observability import redact


class Provider:
    """Stands where Powertools' SecretsProvider does; remembers what was forced."""

    def __init__(self, value: str | Exception) -> None:
        self.value = value
        self.forced: list[bool] = []

    def get(self, name: str, max_age: int, force_fetch: bool) -> str:
        self.forced.append(force_fetch)
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


def secret[T: SecretModel](model: type[T], value: Any) -> tuple[Secret[T], Provider]:
    text = value if isinstance(value, str | Exception) else json.dumps(value)
    provider = Provider(text)
    clock = iter(range(0, 10_000, 20))
    made = Secret(
        "arn:secret",
        model,
        provider=provider,  # type: ignore[arg-type]
        clock=lambda: float(next(clock)),
    )
    return made, provider


def test_one_credential_and_a_list_of_them_are_both_taken() -> None:
    one, _ = secret(WebhookCredentials, {"username": "u", "password": "canary-1"})
    assert [c.username for c in one.get().credentials] == ["u"]
    pair = [{"username": n, "password": "canary-1"} for n in ("u", "v")]
    two, _ = secret(WebhookCredentials, {"credentials": pair})
    assert [c.username for c in two.get().credentials] == ["u", "v"]
    keys = {"partner_api_keys": ["canary-4", "canary-5"], "data_import_keys": ["c-6"]}
    beside, _ = secret(
        WebhookCredentials, {"username": "u", "password": "canary-1"} | keys
    )
    assert [len(beside.get().credentials), len(beside.get().partner_api_keys)] == [1, 2]
    assert beside.get().data_import_keys[0].get_secret_value() == "c-6"
    assert redact("canary-5") == "[secret]"
    token, _ = secret(CurrentsCredentials, {"token": "canary-2"})
    assert len(token.get().tokens) == 1
    tokens, _ = secret(CurrentsCredentials, {"tokens": ["canary-2", "canary-3"]})
    assert len(tokens.get().tokens) == 2


@pytest.mark.parametrize(
    ("value", "auth", "query"),
    [
        ({"project_token": "t"}, ("t", ""), {}),
        ({"api_secret": "s"}, ("s", ""), {}),
        ({"api_secret": "s", "project_token": "t"}, ("t", ""), {}),
        (
            {
                "service_account_username": "a",
                "service_account_secret": "b",
                "project_id": "9",
                "project_token": "t",
            },
            ("a", "b"),
            {"project_id": "9"},
        ),
    ],
)
def test_r13_mixpanel_is_reached_with_what_is_complete(
    value: dict[str, str], auth: tuple[str, str], query: dict[str, str]
) -> None:
    credentials = secret(MixpanelCredentials, value)[0].get()
    assert (credentials.basic_auth(), credentials.query) == (auth, query)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "not JSON canary",
        "[]",
        "{}",
        {"service_account_username": "a", "service_account_secret": "canary"},
    ],
)
def test_an_unusable_secret_is_retried_and_says_what_is_wrong_but_not_what_it_holds(
    value: Any,
) -> None:
    made, _ = secret(MixpanelCredentials, value)
    with pytest.raises(RetryableError, match="not usable") as caught:
        made.get()
    assert "canary" not in str(caught.value)


def test_a_secret_without_value_is_retried_and_named() -> None:
    made, _ = secret(BrazeCredentials, GetParameterError("canary"))
    with pytest.raises(RetryableError, match="arn:secret: is it set") as caught:
        made.get()
    assert "canary" not in str(caught.value)


def test_a_refresh_is_forced_at_most_every_half_minute() -> None:
    made, provider = secret(BrazeCredentials, {"rest_api_key": "k"})
    assert REFRESH_SECONDS == 30  # the clock of this test moves by 20
    for _ in range(4):
        made.refreshed()
    assert provider.forced == [True, False, True, False]


def test_what_was_read_is_struck_from_everything_that_is_logged() -> None:
    made, _ = secret(BrazeCredentials, {"rest_api_key": 'canary "quoted" key'})
    assert 'canary "quoted" key' not in repr(made.get())
    line = json.dumps({"message": 'Invalid API key: canary "quoted" key'})
    assert redact(line) == '{"message": "Invalid API key: [secret]"}'
