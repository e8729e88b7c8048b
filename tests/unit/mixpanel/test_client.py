"""Calls of the Import API: host of the region, form of the login, time that is left."""

import gzip
import json
from typing import Any

import pytest
import requests

from bridge.credentials import MixpanelCredentials, Secret
from bridge.errors import CredentialsRejected, RetryableError
from bridge.mixpanel.client import ANSWER_SECONDS, POLICY, MixpanelClient
from bridge.settings import CurrentsImporterSettings, MixpanelRegion, SettingsError
from bridge.transport import Transport

SENT = [b'{"n":1}']
ENVIRONMENT = {"MIXPANEL_SECRET_ARN": "arn", "DATA_BUCKET": "data"}


class Raw:
    def __init__(self, body: bytes) -> None:
        self._body = body

    def read(self, *_: Any, **__: Any) -> bytes:
        return self._body


class Answer:
    def __init__(self, status: int, body: dict[str, Any]) -> None:
        self.status_code = status
        self.headers: dict[str, str] = {}
        self.raw = Raw(json.dumps(body).encode())

    def __enter__(self) -> "Answer":
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Session(requests.Session):
    """Gives scripted answers and records what was asked."""

    def __init__(self, *statuses: int) -> None:
        super().__init__()
        self.statuses = list(statuses)
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def post(self, url: Any, *_: Any, **options: Any) -> Any:
        self.asked.append((url, options))
        status = self.statuses.pop(0) if self.statuses else 200
        return Answer(status, {"num_records_imported": 1})


class Provider:
    """Secrets Manager with one value, or several in turn."""

    def __init__(self, *values: dict[str, str]) -> None:
        self.values = list(values)

    def get_secret_value(self, **_: Any) -> dict[str, str]:
        value = self.values.pop(0) if len(self.values) > 1 else self.values[0]
        return {"SecretString": json.dumps(value)}


def client(
    session: Session,
    *secrets: dict[str, str],
    region: MixpanelRegion = MixpanelRegion.US,
    left: float = 100.0,
    slept: list[float] | None = None,
) -> MixpanelClient:
    provider: Any = Provider(*(secrets or ({"project_token": "token-1"},)))
    transport = Transport(
        "mixpanel",
        region.ingestion_url,
        policy=POLICY,
        read_timeout=ANSWER_SECONDS,
        session=session,
        sleep=(slept if slept is not None else []).append,
    )
    secret = Secret("arn", MixpanelCredentials, client=provider)
    return MixpanelClient(transport, secret, gzip.compress, lambda: left)


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("US", "https://api.mixpanel.com/import"),
        ("EU", "https://api-eu.mixpanel.com/import"),
        ("IN", "https://api-in.mixpanel.com/import"),
    ],
)
def test_events_go_to_the_host_of_the_region(region: str, host: str) -> None:
    settings = CurrentsImporterSettings.load(ENVIRONMENT | {"MIXPANEL_REGION": region})
    session = Session()
    client(session, region=settings.mixpanel_region).import_events(SENT)
    ((url, options),) = session.asked
    assert url == host
    assert gzip.decompress(options["data"]) == b'[{"n":1}]'
    assert options["params"]["strict"] == "1"


@pytest.mark.parametrize("region", [None, "", "us", "DE"])
def test_the_region_is_required_and_one_of_three(region: str | None) -> None:
    given = {} if region is None else {"MIXPANEL_REGION": region}
    with pytest.raises(SettingsError, match="MIXPANEL_REGION"):
        CurrentsImporterSettings.load(ENVIRONMENT | given)


ACCOUNT = {
    "service_account_username": "b.mp-service-account",
    "service_account_secret": "account-secret",
    "project_id": "33",
}


@pytest.mark.parametrize(
    ("secret", "auth", "project"),
    [
        (ACCOUNT, ("b.mp-service-account", "account-secret"), "33"),
        ({"project_token": "token-1"}, ("token-1", ""), None),
        ({"api_secret": "secret-1"}, ("secret-1", ""), None),
        ({"api_secret": "s", "project_token": "token-1"}, ("token-1", ""), None),
        (
            {"service_account_username": "half", "project_id": "33"}
            | {"project_token": "token-1"},
            ("token-1", ""),
            None,
        ),
    ],
    ids=["service account", "token", "API secret", "both", "half an account"],
)
def test_r13_the_three_forms_of_the_login(
    secret: dict[str, str], auth: tuple[str, str], project: str | None
) -> None:
    session = Session()
    client(session, secret).import_events(SENT)
    ((_, options),) = session.asked
    assert options["auth"] == auth
    assert options["params"].get("project_id") == project


def test_a_rejected_login_is_read_again_before_anything_fails() -> None:
    session = Session(401, 200)
    old, new = {"project_token": "old-token"}, {"project_token": "new-token"}
    client(session, old, new).import_events(SENT)
    assert [options["auth"][0] for _, options in session.asked] == [
        "old-token",
        "new-token",
    ]


def test_a_login_that_fails_asks_twice_and_then_pauses_longer_each_time() -> None:
    session, slept = Session(*[401] * 12), list[float]()
    importing = client(session, slept=slept)
    for deliveries in range(1, 7):
        with pytest.raises(CredentialsRejected):
            importing.import_events(SENT)
        assert len(session.asked) == 2 * deliveries
    assert slept == [2, 4, 8, 16, 32, 60]
    importing.import_events(SENT)
    session.statuses = [401, 401]
    with pytest.raises(CredentialsRejected):
        importing.import_events(SENT)
    assert slept[6:] == [2]


def test_the_pause_ends_before_the_time_does() -> None:
    slept = list[float]()
    with pytest.raises(CredentialsRejected):
        client(Session(401, 401), left=3.0, slept=slept).import_events(SENT)
    assert slept == [1]


def test_it_backs_off_as_mixpanel_asks_for_and_sends_the_same_bytes() -> None:
    session, slept = Session(429, 502, 503, 429, 200), list[float]()
    client(session, slept=slept).import_events(SENT)
    assert len({options["data"] for _, options in session.asked}) == 1
    for pause, base in zip(slept, (2, 4, 8, 16), strict=True):
        assert base + 1 <= pause <= base + 5
    assert POLICY.ceiling == 60


def test_it_does_not_wait_longer_than_there_is_time() -> None:
    session, slept = Session(*[429] * 9), list[float]()
    with pytest.raises(RetryableError, match="429"):
        client(session, left=6.0, slept=slept).import_events(SENT)
    assert max(slept, default=0) < 6
    ((_, options), *_) = session.asked
    assert max(options["timeout"]) <= 6


def test_a_call_may_take_45_seconds_where_there_is_time() -> None:
    session = Session()
    client(session, left=54.0).import_events(SENT)
    assert session.asked[0][1]["timeout"][1] == ANSWER_SECONDS == 45
