"""The partner's cohort import: what is sent, and what each answer means."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from bridge.braze.partner_cohorts import requests
from bridge.errors import (
    BridgeError,
    CredentialsRejected,
    Rejected,
    RetryableError,
    TooLarge,
    TooMany,
)
from bridge.transport import Reply

PER_REQUEST = "Only 1,000 user_ids, device_ids, and aliases are allowed per request"
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
        reply(201, {"errors": None, "message": "Cohort updated"}),
        reply(200, {"message": "ok"}),
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
        (reply(201, {"errors": "canary"}), Rejected),
        (reply(400, {"message": PER_REQUEST}), TooMany),
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
