"""Secrets: typed, cached, refreshed once, and never shown."""

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError

from bridge import credentials
from bridge.credentials import (
    CACHE_SECONDS,
    REFRESH_SECONDS,
    BrazeCredentials,
    CurrentsCredentials,
    MixpanelCredentials,
    Secret,
    SecretModel,
    WebhookCredentials,
)
from bridge.errors import CredentialsRejected, RetryableError
from bridge.observability import Metric, redact


class Secrets:
    """Stands where the client of Secrets Manager does; counts what it is asked."""

    def __init__(self, value: str | Exception) -> None:
        self.value = value
        self.calls = 0

    def get_secret_value(self, *, SecretId: str) -> dict[str, str]:  # noqa: N803
        self.calls += 1
        if isinstance(self.value, Exception):
            raise self.value
        return {"ARN": SecretId, "SecretString": self.value}


class Clock:
    """A clock that is set by hand."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def secret[T: SecretModel](
    model: type[T], value: Any, clock: Clock | None = None
) -> tuple[Secret[T], Secrets]:
    text = value if isinstance(value, str | Exception) else json.dumps(value)
    secrets = Secrets(text)
    client: Any = secrets
    return Secret("arn:secret", model, client=client, clock=clock or Clock()), secrets


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


@pytest.mark.parametrize(
    "failure",
    [
        ClientError({"Error": {"Message": "canary"}}, "GetSecretValue"),
        ConnectTimeoutError(endpoint_url="https://canary"),
    ],
)
def test_a_secret_without_value_is_retried_and_named(failure: Exception) -> None:
    made, _ = secret(BrazeCredentials, failure)
    with pytest.raises(RetryableError, match="arn:secret: is it set") as caught:
        made.get()
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "status", "waits_for_a_person"),
    [
        ("ResourceNotFoundException", 400, True),
        ("AccessDeniedException", 400, True),
        ("InvalidRequestException", 400, True),
        ("DecryptionFailure", 400, True),
        ("InternalServiceError", 500, False),
        ("ServiceUnavailable", 503, False),
        ("ThrottlingException", 400, False),
    ],
)
@pytest.mark.parametrize(
    ("model", "is_vendors"),
    [
        (BrazeCredentials, True),
        (MixpanelCredentials, True),
        (WebhookCredentials, False),
        (CurrentsCredentials, False),
    ],
)
def test_a_vendors_secret_without_a_value_counts_as_rejected_at_once(
    model: type[SecretModel],
    is_vendors: bool,
    code: str,
    status: int,
    waits_for_a_person: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counted: list[Metric] = []
    monkeypatch.setattr(credentials, "count", counted.append)
    answer: Any = {
        "Error": {"Code": code},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    made, _ = secret(model, ClientError(answer, "GetSecretValue"))
    with pytest.raises(RetryableError) as caught:
        made.get()
    rejected = is_vendors and waits_for_a_person
    assert isinstance(caught.value, CredentialsRejected) == rejected
    assert counted == ([] if rejected else [Metric.STORE_UNAVAILABLE])


@pytest.mark.parametrize("model", [BrazeCredentials, MixpanelCredentials])
def test_a_vendors_secret_that_is_no_json_counts_as_rejected_at_once(
    model: type[SecretModel],
) -> None:
    with pytest.raises(CredentialsRejected, match="not usable"):
        secret(model, "not JSON")[0].get()


def test_a_secret_is_read_again_after_five_minutes() -> None:
    clock = Clock()
    made, secrets = secret(BrazeCredentials, {"rest_api_key": "old"}, clock)
    for clock.seconds in (0, CACHE_SECONDS - 1):
        assert made.get().need("rest_api_key") == "old"
        secrets.value = json.dumps({"rest_api_key": "new"})
    clock.seconds = CACHE_SECONDS
    assert made.get().need("rest_api_key") == "new"
    assert (CACHE_SECONDS, secrets.calls) == (300, 2)


def test_a_refresh_is_forced_at_most_every_half_minute() -> None:
    clock = Clock()
    made, secrets = secret(BrazeCredentials, {"rest_api_key": "k"}, clock)
    calls = []
    for clock.seconds in (0, REFRESH_SECONDS - 1, REFRESH_SECONDS, 31):
        made.refreshed()
        calls.append(secrets.calls)
    assert (REFRESH_SECONDS, calls) == (30, [1, 1, 2, 2])


def test_a_refresh_that_fails_leaves_what_was_known() -> None:
    made, secrets = secret(BrazeCredentials, {"rest_api_key": "k"})
    made.get()
    secrets.value = ClientError({}, "GetSecretValue")
    with pytest.raises(RetryableError, match="is it set"):
        made.refreshed()
    assert made.get().need("rest_api_key") == "k"


def test_an_unusable_secret_is_not_asked_for_at_every_call() -> None:
    made, secrets = secret(BrazeCredentials, "not JSON")
    for _ in range(2):
        with pytest.raises(RetryableError, match="not usable"):
            made.get()
    assert secrets.calls == 1


def test_what_was_read_is_struck_from_everything_that_is_logged() -> None:
    made, _ = secret(BrazeCredentials, {"rest_api_key": 'canary "quoted" key'})
    assert 'canary "quoted" key' not in repr(made.get())
    line = json.dumps({"message": 'Invalid API key: canary "quoted" key'})
    assert redact(line) == '{"message": "Invalid API key: [secret]"}'


def test_of_many_calls_that_meet_a_rotated_key_at_a_time_one_asks() -> None:
    held, secrets = secret(BrazeCredentials, {"rest_api_key": "canary-7"})
    held.get()
    asked, real = Event(), secrets.get_secret_value

    def slowly(**named: Any) -> dict[str, str]:
        asked.wait(0.05)
        return real(**named)

    secrets.get_secret_value = slowly  # type: ignore[method-assign]
    with ThreadPoolExecutor(8) as threads:
        calls = [threads.submit(held.refreshed) for _ in range(8)]
        found = [each.result() for each in calls]
    assert secrets.calls == 2
    assert {each.need("rest_api_key") for each in found} == {"canary-7"}
