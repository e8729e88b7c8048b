"""The partner's cohort import: what is sent, and what each answer means."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from bridge.braze.client import PartnerClient
from bridge.braze.partner_cohorts import requests
from bridge.credentials import BrazeCredentials
from bridge.errors import (
    BridgeError,
    CredentialsRejected,
    Rejected,
    RetryableError,
    TooLarge,
)
from bridge.transport import Reply

NOW = datetime(2031, 4, 5, 6, 7, 8, tzinfo=UTC)


def reply(status: int, body: Any = None, *, raw: bytes | None = None) -> Reply:
    return Reply(status, {}, json.dumps(body).encode() if raw is None else raw)


@pytest.mark.parametrize(
    "answer",
    [
        reply(201, {"message": "success"}),
        reply(201, {}),
        reply(200, raw=b""),
        reply(202, {"message": "queued"}),
        reply(201, raw=b"<html>"),
        reply(201, {"errors": []}),
    ],
)
def test_accepted(answer: Reply) -> None:
    requests.read_reply(answer)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (
            reply(401, {"message": "Partner not enabled … client secret: canary"}),
            CredentialsRejected,
        ),
        (reply(401, {"error": "Invalid client secret canary"}), CredentialsRejected),
        (reply(403, {}), CredentialsRejected),
        (reply(404, {}), CredentialsRejected),
        (reply(413, {}), TooLarge),
        (reply(400, {"message": "canary"}), Rejected),
        (reply(400, {"error": "canary"}), Rejected),
        (reply(201, {"errors": ["canary"]}), Rejected),
        (reply(201, {"message": "canary"}), RetryableError),
        (reply(201, {"error": "canary"}), RetryableError),
        (reply(423, {}), RetryableError),
        (reply(500, {}), RetryableError),
    ],
)
def test_failures_are_named_by_what_happens_next_and_quote_nothing(
    answer: Reply, error: type[BridgeError]
) -> None:
    with pytest.raises(error) as caught:
        requests.read_reply(answer)
    assert type(caught.value) is error
    assert "canary" not in f"{caught.value!r} {caught.value.reason}"


@pytest.mark.parametrize(("name", "said"), [("Trial", "Trial"), (" ", "7"), ("", "7")])
def test_a_name_is_never_empty(name: str, said: str) -> None:
    assert requests.naming("7", name, NOW) == {
        "cohort_id": "7",
        "name": said,
        "created_at": "2031-04-05T06:07:08+00:00",
    }


class Wire:
    """Stands where the transport and the secret do."""

    base_url = "https://rest.iad-01.braze.com"

    def __init__(self, *answers: Reply, **keys: str) -> None:
        self.answers = list(answers)
        self.sent: list[tuple[str, dict[str, Any], dict[str, str]]] = []
        self.credentials = BrazeCredentials.model_validate(keys)
        self.newer = self.credentials

    def post(
        self, path: str, body: bytes, *, headers: dict[str, str], time_left: Any
    ) -> Reply:
        self.sent.append((path, json.loads(body), headers))
        return self.answers.pop(0)

    def get(self) -> BrazeCredentials:
        return self.credentials

    def refreshed(self) -> BrazeCredentials:
        return self.newer


def client(wire: Any) -> PartnerClient:
    return PartnerClient(wire, wire, lambda: 60.0, "acme")


KEYS = {"partner_api_key": "pk", "data_import_key": "dik"}


def test_both_secrets_go_in_the_body_and_none_in_a_header() -> None:
    wire = Wire(reply(201, {}), reply(201, {}), **KEYS)
    client(wire).name_cohort("7", "Trial", NOW)
    client(wire).change("7", [{"user_ids": ["u"]}])
    assert [path for path, _, _ in wire.sent] == [
        "/partners/acme/cohorts",
        "/partners/acme/cohorts/users",
    ]
    for _, body, headers in wire.sent:
        assert (body["partner_api_key"], body["client_secret"]) == ("pk", "dik")
        assert {name.lower() for name in headers} == {"content-type", "user-agent"}
    assert wire.sent[1][1]["cohort_changes"] == [{"user_ids": ["u"]}]


def test_a_key_that_was_just_changed_is_read_again_before_a_refusal_counts() -> None:
    refusal = reply(401, {"message": "Invalid client secret"})
    wire = Wire(refusal, reply(201, {}), **KEYS)
    wire.newer = BrazeCredentials.model_validate(KEYS | {"data_import_key": "new"})
    client(wire).change("7", [])
    assert [body["client_secret"] for _, body, _ in wire.sent] == ["dik", "new"]
    wire = Wire(refusal, refusal, **KEYS)
    with pytest.raises(CredentialsRejected):
        client(wire).change("7", [])


@pytest.mark.parametrize("missing", ["partner_api_key", "data_import_key"])
def test_a_secret_without_a_needed_key_is_named_before_anything_is_sent(
    missing: str,
) -> None:
    wire = Wire(**{name: key for name, key in KEYS.items() if name != missing})
    with pytest.raises(RetryableError, match=f"no {missing}"):
        client(wire).change("7", [])
    assert wire.sent == []
