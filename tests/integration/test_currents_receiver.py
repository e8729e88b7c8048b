"""The function currents_receiver on moto: answers as Braze's connector expects them."""

import base64
import gzip
import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from bridge.currents.decode.record import decode
from bridge.quarantine import from_lines
from functions.currents_receiver import app
from tests.integration.stack import TOKEN, Context, Stack, logged, sample, stack

__all__ = ["logged", "stack"]

type Call = Callable[[dict[str, Any]], tuple[int, dict[str, Any]]]


@pytest.fixture
def call(stack: Stack) -> Call:
    app.receiver.cache_clear()

    def post(event: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        answer = app.handler(event, Context())
        return answer["statusCode"], json.loads(answer["body"])

    return post


def test_events_are_stored_many_in_a_record_with_their_own_bytes(
    call: Call, stack: Stack
) -> None:
    event = sample("currents_receiver")
    stored_all = {"message": "stored", "events": 5, "quarantined": 0}
    assert call(event) == (200, stored_all)
    (record,) = stack.stream_records()
    stored = [decoded.raw for decoded in decode(record)]
    assert b", ".join(stored).decode() in event["body"]


def test_a_base64_body_and_an_array_are_taken(call: Call) -> None:
    event = sample("currents_receiver")
    array = json.dumps(json.loads(event["body"])["events"])
    encoded = base64.b64encode(array.encode()).decode()
    changed = event | {"body": encoded, "isBase64Encoded": True}
    assert call(changed)[1]["events"] == 5


@pytest.mark.parametrize("body", ["", " ", '{"events": []}', "[]"])
def test_an_empty_call_is_a_probe(call: Call, stack: Stack, body: str) -> None:
    assert call(sample("currents_receiver_probe") | {"body": body})[0] == 200
    assert stack.stream_records() == []


@pytest.mark.parametrize(
    "header", [None, "", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer ü"]
)
def test_a_wrong_token_is_401_even_for_a_probe(
    call: Call, stack: Stack, header: str | None
) -> None:
    event = sample("currents_receiver_probe")
    headers = {"authorization": header} if header is not None else {}
    assert call(event | {"headers": headers})[0] == 401
    assert call(sample("currents_receiver") | {"headers": headers})[0] == 401
    assert stack.stream_records() == []


def test_both_tokens_open_during_a_rotation(call: Call, stack: Stack) -> None:
    event = sample("currents_receiver")
    assert call(event)[0] == 200
    both = json.dumps({"tokens": ["new-token", TOKEN]})
    stack.secrets.put_secret_value(SecretId="currents", SecretString=both)
    rotated = event | {"headers": {"authorization": "Bearer new-token"}}
    assert call(rotated)[0] == 200
    assert call(event)[0] == 200


@pytest.mark.parametrize("body", ["not JSON", '{"events": [{"a": ]}', "7"])
def test_a_body_that_is_none_is_quarantined_and_never_400(
    call: Call, stack: Stack, body: str
) -> None:
    status, _ = call(sample("currents_receiver") | {"body": body})
    assert status == 200
    kept = [item for content in stack.kept("quarantine/currents/")
            for item in from_lines(content)]  # fmt: skip
    assert [item.original for item in kept] == [body.encode()]
    assert stack.stream_records() == []


def test_one_broken_line_is_quarantined_and_the_others_go_on(
    call: Call, stack: Stack
) -> None:
    body = '{"id": "1"}\n{"broken\n{"id": "2"}'
    status, answer = call(sample("currents_receiver") | {"body": body})
    assert (status, answer["events"], answer["quarantined"]) == (200, 2, 1)
    stored = [d.event for record in stack.stream_records() for d in decode(record)]
    assert stored == [{"id": "1"}, {"id": "2"}]


@pytest.mark.parametrize("store", ["secrets", "stream", "bucket"])
def test_a_store_that_fails_is_503(call: Call, stack: Stack, store: str) -> None:
    event = sample("currents_receiver")
    match store:
        case "secrets":
            stack.secrets.delete_secret(
                SecretId="currents", ForceDeleteWithoutRecovery=True
            )
        case "stream":
            stack.kinesis.delete_stream(StreamName="currents")
        case "bucket":
            stack.s3.delete_bucket(Bucket=stack.bucket)
            event["body"] = "not JSON"
    assert call(event)[0] == 503


def test_records_that_kinesis_refuses_are_resent(
    call: Call, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = app.receiver().stream
    put = stream._kinesis.put_records
    refused = {"ErrorCode": "ProvisionedThroughputExceededException"}
    tries: list[int] = []

    def throttled(**arguments: Any) -> Any:
        tries.append(len(arguments["Records"]))
        if len(tries) < 3:
            return {"FailedRecordCount": 1, "Records": [refused]}
        return put(**arguments)

    monkeypatch.setattr(stream._kinesis, "put_records", throttled)
    monkeypatch.setattr(stream, "_sleep", lambda _: None)
    assert call(sample("currents_receiver"))[0] == 200
    assert len(stack.stream_records()) == 1


def test_no_token_and_no_user_is_logged(
    call: Call, logged: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    call(sample("currents_receiver"))
    call(sample("currents_receiver") | {"body": "canary@example.com"})
    printed = capsys.readouterr()
    logs = logged.getvalue() + printed.out + printed.err
    assert "call received" in logs
    for canary in (TOKEN, "cust-0001", "@example.com"):
        assert canary not in logs


def test_an_event_that_fits_nowhere_is_quarantined_alone(
    call: Call, stack: Stack
) -> None:
    import random

    noise = random.Random(1).randbytes(1_500_000).hex()
    body = f'{{"events": [{{"id": "1"}}, {{"id": "{noise}"}}, {{"id": "3"}}]}}'
    status, answer = call(sample("currents_receiver") | {"body": body})
    assert (status, answer["events"], answer["quarantined"]) == (200, 2, 1)
    ((item,),) = [[*from_lines(each)] for each in stack.kept("quarantine/currents/")]
    assert (item.reason, noise.encode() in item.original) == ("too_large", True)
    stored = [d.event for record in stack.stream_records() for d in decode(record)]
    assert stored == [{"id": "1"}, {"id": "3"}]


def test_of_a_body_that_is_cut_off_the_whole_events_go_on(
    call: Call, stack: Stack
) -> None:
    event = sample("currents_receiver")
    cut = event | {"body": event["body"][:-40]}
    status, answer = call(cut)
    assert (status, answer["events"], answer["quarantined"]) == (200, 4, 1)


def test_a_gzipped_body_is_taken_and_a_bomb_is_quarantined(
    call: Call, stack: Stack
) -> None:
    event = sample("currents_receiver")
    for content, events in ((event["body"].encode(), 5), (b"a" * 65_000_000, 0)):
        body = base64.b64encode(gzip.compress(content)).decode()
        status, answer = call(event | {"body": body, "isBase64Encoded": True})
        assert (status, answer["events"]) == (200, events)
    assert len(stack.kept("quarantine/currents/")) == 1


def test_records_that_kinesis_never_takes_are_503(
    call: Call, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Braze comes again; what was stored before is the same event to Mixpanel."""
    stream = app.receiver().stream
    refused = {"ErrorCode": "ProvisionedThroughputExceededException"}
    monkeypatch.setattr(
        stream._kinesis, "put_records", lambda **_: {"Records": [refused]}
    )
    monkeypatch.setattr(stream, "_sleep", lambda _: None)
    assert call(sample("currents_receiver"))[0] == 503


@pytest.mark.parametrize(
    "body", ["", "x", "[" * 9_999, "\x00", '{"events": 7}', "null"]
)
def test_no_body_whatever_is_answered_400(call: Call, body: str) -> None:
    assert call(sample("currents_receiver") | {"body": body})[0] == 200
