"""Keys go to the vendor's host and to nobody else, over a real socket.

A redirect, a proxy of the environment or a .netrc would each send them elsewhere.
"""

import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from bridge.braze.client import BrazeClient, PartnerClient
from bridge.credentials import BrazeCredentials, MixpanelCredentials, Secret
from bridge.errors import BridgeError
from bridge.mixpanel.client import ANSWER_SECONDS, MixpanelClient
from bridge.transport import CONNECT_TIMEOUT, READ_TIMEOUT, RetryPolicy, Transport
from sandbox.servers.web import Answer, Call, StandIn

ONE_TRY = RetryPolicy(attempts=1)
KEYS = {"rest_api_key": "rest-1", "partner_api_key": "p-1", "data_import_key": "d-1"}
NOW = datetime(2031, 4, 5, tzinfo=UTC)


class Host(StandIn):
    """Answers every call in the same way and keeps what it got."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer
        self.calls: list[Call] = []

    def respond(self, call: Call) -> Answer:
        self.calls.append(call)
        return self.answer


@pytest.fixture
def host() -> Iterator[Callable[[Answer], Host]]:
    started: list[Host] = []

    def start(answer: Answer) -> Host:
        host = Host(answer)
        host.start()
        started.append(host)
        return host

    yield start
    for each in started:
        each.stop()


class Keys:
    """Secrets Manager with one value."""

    def __init__(self, **value: str) -> None:
        self._value = value

    def get_secret_value(self, **_: Any) -> dict[str, str]:
        return {"SecretString": json.dumps(self._value)}


def braze_keys() -> Secret[BrazeCredentials]:
    provider: Any = Keys(**KEYS)
    return Secret("arn", BrazeCredentials, client=provider)


def track(transport: Transport, left: float) -> object:
    client = BrazeClient(transport, braze_keys(), lambda: left)
    return client.track([{"external_id": "u"}])


def export(transport: Transport, left: float) -> object:
    return BrazeClient(transport, braze_keys(), lambda: left).find_device("d")


def change_cohort(transport: Transport, left: float) -> object:
    client = PartnerClient(transport, braze_keys(), lambda: left, "acme")
    client.change("7", [{"user_ids": ["u"]}])
    return None


def name_cohort(transport: Transport, left: float) -> object:
    client = PartnerClient(transport, braze_keys(), lambda: left, "acme")
    client.name_cohort("7", "Trial", NOW)
    return None


def import_events(transport: Transport, left: float) -> object:
    provider: Any = Keys(project_token="token-1")
    secret = Secret("arn", MixpanelCredentials, client=provider)
    client = MixpanelClient(transport, secret, gzip.compress, lambda: left)
    return client.import_events([b'{"properties":{"$insert_id":"1"}}'])


type Use = Callable[[Transport, float], object]
CALLS: dict[str, Use] = {
    use.__name__: use
    for use in (track, export, name_cohort, change_cohort, import_events)
}
every_call = pytest.mark.parametrize("use", CALLS.values(), ids=CALLS.keys())


def made(url: str, use: Use, left: float = 60.0, **options: Any) -> Transport:
    """A transport after one call, whatever came of that."""
    transport = Transport("vendor", url, policy=ONE_TRY, **options)
    with suppress(BridgeError):
        use(transport, left)
    return transport


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@every_call
def test_a_redirect_is_not_followed(
    host: Callable[[Answer], Host], use: Use, status: int
) -> None:
    elsewhere = host(Answer(200, {"num_records_imported": 1}))
    target = {"Location": f"{elsewhere.url}/x"}
    vendor = host(Answer(status, {}, headers=target))
    with pytest.raises(BridgeError):
        use(Transport("vendor", vendor.url, policy=ONE_TRY), 60.0)
    assert elsewhere.calls == []
    assert len(vendor.calls) == 1


@every_call
def test_a_redirect_within_the_host_is_not_followed(
    host: Callable[[Answer], Host], use: Use
) -> None:
    vendor = host(Answer(307, {}, headers={"Location": "/other"}))
    made(vendor.url, use)
    assert len(vendor.calls) == 1


@every_call
def test_a_proxy_of_the_environment_sees_nothing(
    host: Callable[[Answer], Host], monkeypatch: pytest.MonkeyPatch, use: Use
) -> None:
    proxy, vendor = host(Answer(200, {})), host(Answer(200, {}))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url)
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("NO_PROXY", "")
    made(vendor.url, use)
    assert (len(proxy.calls), len(vendor.calls)) == (0, 1)


@every_call
def test_a_login_of_the_environment_is_not_sent(
    host: Callable[[Answer], Host],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    use: Use,
) -> None:
    """It would stand in the place of the REST key, or be told to Braze beside it."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login canary password canary\n")
    monkeypatch.setenv("NETRC", str(netrc))
    vendor = host(Answer(200, {}))
    made(vendor.url, use)
    sent = vendor.calls[0].headers.get("authorization")
    expected = {
        "track": "Bearer rest-1",
        "export": "Bearer rest-1",
        "import_events": "Basic dG9rZW4tMTo=",
    }
    assert sent == expected.get(use.__name__)


class Options(HTTPAdapter):
    """Keeps how it is told to send; what it is told to send goes nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[dict[str, Any]] = []

    def send(self, request: Any, **options: Any) -> Any:  # type: ignore[override]
        self.seen.append(options | {"url": request.url})
        raise requests.ConnectionError


def options(use: Use, left: float, **more: Any) -> dict[str, Any]:
    session, adapter = requests.Session(), Options()
    session.mount("https://", adapter)
    made("https://rest.iad-01.braze.com", use, left, session=session, **more)
    (seen,) = adapter.seen
    return seen


@every_call
def test_certificates_are_verified_whatever_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, use: Use
) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, "/canary.pem")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    seen = options(use, 60.0)
    assert seen["verify"] is True
    assert not seen["proxies"]
    assert seen["url"].startswith("https://rest.iad-01.braze.com/")


@every_call
def test_every_call_has_both_time_outs(use: Use) -> None:
    assert options(use, 60.0)["timeout"] == (CONNECT_TIMEOUT, READ_TIMEOUT) == (5, 30)
    longer = options(use, 60.0, read_timeout=ANSWER_SECONDS)
    assert longer["timeout"] == (CONNECT_TIMEOUT, ANSWER_SECONDS)
    assert options(use, 4.0)["timeout"] == (4.0, 4.0)
    assert options(use, -1.0)["timeout"] == (0.5, 0.5)


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_of_an_endless_answer_only_so_much_is_read(
    host: Callable[[Answer], Host], monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    monkeypatch.setattr("bridge.transport.MAX_REPLY_BYTES", 1_000)
    body = bytes(1_000_000)
    raw = gzip.compress(body) if encoding == "gzip" else body
    vendor = host(Answer(200, raw=raw, headers={"Content-Encoding": encoding}))
    transport = Transport("vendor", vendor.url, policy=ONE_TRY)
    reply = transport.post("/x", b"{}", headers={}, time_left=lambda: 60.0)
    assert reply.body == bytes(1_000)
