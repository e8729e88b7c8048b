"""Calls of Braze carry the current keys, each where its API wants them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from bridge.braze.client import BrazeClient, PartnerClient
from bridge.credentials import BrazeCredentials
from bridge.errors import (
    CredentialsRejected,
    RetryableError,
)
from bridge.transport import Reply

NOW = datetime(2031, 4, 5, 6, 7, 8, tzinfo=UTC)


def reply(status: int, body: Any) -> Reply:
    return Reply(status, {}, json.dumps(body).encode())


class Wire:
    """Stands in for both the transport and the secret."""

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


def test_a_key_that_was_just_rotated_is_read_again_before_a_rejection_counts() -> None:
    rejection = reply(401, {"message": "Invalid client secret"})
    wire = Wire(rejection, reply(201, {}), **KEYS)
    wire.newer = BrazeCredentials.model_validate(KEYS | {"data_import_key": "new"})
    client(wire).change("7", [])
    assert [body["client_secret"] for _, body, _ in wire.sent] == ["dik", "new"]
    wire = Wire(rejection, rejection, **KEYS)
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


def rest_client(wire: Any) -> BrazeClient:
    return BrazeClient(wire, wire, lambda: 60.0)


def test_the_rest_key_is_sent_as_a_bearer_token_and_not_in_the_body() -> None:
    wire = Wire(reply(201, {"message": "success"}), rest_api_key="rk")
    rest_client(wire).track([{"external_id": "u"}])
    ((path, body, headers),) = wire.sent
    assert (path, headers["Authorization"]) == ("/users/track", "Bearer rk")
    assert body == {"attributes": [{"external_id": "u"}]}


def test_a_device_is_looked_up_with_only_the_fields_that_are_needed() -> None:
    users = [{"braze_id": "b", "external_id": "u"}]
    wire = Wire(reply(201, {"users": users}), rest_api_key="rk")
    assert rest_client(wire).find_device("d-1") == users
    ((path, body, _),) = wire.sent
    assert path == "/users/export/ids"
    assert body == {
        "device_id": "d-1",
        "fields_to_export": ["external_id", "braze_id"],
    }


def test_a_rest_key_that_no_header_can_carry_is_unusable() -> None:
    wire = Wire(rest_api_key="canary\u2713")
    with pytest.raises(RetryableError) as caught:
        rest_client(wire).track([])
    assert caught.value.reason == "secret_unusable"
    assert "canary" not in str(caught.value)
    assert wire.sent == []


def test_the_account_is_the_key_that_the_api_knows_it_by() -> None:
    assert rest_client(Wire(rest_api_key="rk")).account() == "rk"
    assert client(Wire(**KEYS)).account() == "dik"
