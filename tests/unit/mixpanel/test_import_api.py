"""The replies of Mixpanel's Import API, in all the shapes they are known to have."""

from typing import Any

import orjson
import pytest

from bridge.errors import BridgeError, CredentialsRejected, RetryableError, TooLarge
from bridge.mixpanel.import_api import Failure, read_reply, write_body
from bridge.transport import Reply

SENT = [b'{"properties":{"$insert_id":"id-%d"}}' % n for n in range(3)]
FAILED = {
    "index": 1,
    "insert_id": "id-1",
    "field": "properties.time",
    "message": "must not be in the future",
}
WHY = Failure("properties.time", "must not be in the future")


def reply(status: int, body: Any = None, raw: bytes | None = None) -> Reply:
    return Reply(status, {}, orjson.dumps(body) if raw is None else raw)


def partial(**changes: Any) -> Reply:
    body = {
        "code": 400,
        "error": "some data points in the request failed validation",
        "status": "Bad Request",
        "num_records_imported": 2,
        "failed_records": [FAILED],
    }
    return reply(400, body | changes)


def test_the_body_is_an_array_of_the_events() -> None:
    assert orjson.loads(write_body(SENT)) == list(map(orjson.loads, SENT))


def test_all_imported() -> None:
    body = {"code": 200, "num_records_imported": 3, "status": "OK"}
    result = read_reply(reply(200, body), SENT)
    assert (result.rejected, result.vague) == ({}, False)


def test_a_200_that_lists_failures_names_its_events() -> None:
    body = {"code": 200, "num_records_imported": 2, "failed_records": [FAILED]}
    result = read_reply(reply(200, body), SENT)
    assert (result.rejected, result.vague) == ({1: WHY}, False)


@pytest.mark.parametrize(
    "changes",
    [
        {"num_records_imported": 3},
        {"num_records_imported": 1},
        {"num_records_imported": None},
        {"failed_records": ["odd"]},
        {"failed_records": [{**FAILED, "index": 2}]},
    ],
)
def test_a_200_whose_list_does_not_add_up_proves_nothing(
    changes: dict[str, Any],
) -> None:
    body = {"code": 200, "num_records_imported": 2, "failed_records": [FAILED]}
    assert read_reply(reply(200, body | changes), SENT).vague


WITHOUT_INDEX = {key: value for key, value in FAILED.items() if key != "index"}
DOLLAR_ID = WITHOUT_INDEX | {"$insert_id": "id-1"}
del DOLLAR_ID["insert_id"]


@pytest.mark.parametrize(
    "answer",
    [
        partial(),
        partial(error=None),
        partial(status=0),
        partial(failed_records=[WITHOUT_INDEX]),
        partial(failed_records=[DOLLAR_ID]),
        partial(failed_records=[FAILED, FAILED]),
        partial(failed_records=[{**FAILED, "insert_id": ""}]),
    ],
    ids=[
        "documented",
        "no error",
        "status number",
        "id alone",
        "$insert_id",
        "two rules of one event",
        "no id",
    ],
)
def test_a_partial_failure_names_its_event(answer: Reply) -> None:
    result = read_reply(answer, SENT)
    assert (result.rejected, result.vague) == ({1: WHY}, False)


@pytest.mark.parametrize(
    "answer",
    [
        partial(failed_records=["identity events are not allowed"]),
        partial(failed_records=None),
        partial(failed_records=[]),
        partial(failed_records=[FAILED | {"index": 7}]),
        partial(failed_records=[FAILED | {"index": -1}]),
        partial(failed_records=[FAILED | {"index": True}, FAILED]),
        partial(failed_records=[FAILED | {"index": 0}]),
        partial(failed_records=[FAILED | {"insert_id": ["id-1"]}]),
        partial(failed_records=[FAILED, "and another"]),
        partial(num_records_imported=1),
        partial(num_records_imported=3),
        partial(num_records_imported=None),
        partial(num_records_imported="2"),
        partial(num_records_imported=3, failed_records=[]),
        reply(400, raw=b"<html>"),
        reply(400, raw=b"[]"),
        reply(200, {"code": 200, "num_records_imported": 2}),
    ],
    ids=["texts", "null", "empty", "index out of range", "negative index",
         "index no number", "index of another id", "odd id", "a text among them",
         "too few", "too many", "no count", "count no number", "all imported", "html",
         "array", "fewer than sent"],
)  # fmt: skip
def test_where_nothing_is_proven_the_answer_is_vague(answer: Reply) -> None:
    assert read_reply(answer, SENT).vague


@pytest.mark.parametrize(
    "answer",
    [
        reply(200, raw=b"<html>"),
        reply(200, {"code": 200, "status": "OK"}),
        reply(200, {"num_records_imported": True}),
        reply(200, raw=b"1"),
    ],
    ids=["html", "no count", "no number", "strict=0"],
)
def test_a_200_without_a_usable_count_is_retried(answer: Reply) -> None:
    with pytest.raises(RetryableError) as caught:
        read_reply(answer, SENT)
    assert caught.value.reason == "mixpanel_unclear"


def test_a_200_that_counts_more_than_was_sent_leaves_none_out() -> None:
    answer = read_reply(reply(200, {"num_records_imported": 4}), SENT)
    assert (answer.vague, answer.rejected) == (False, {})


def test_an_error_about_the_whole_request_is_in_the_reply() -> None:
    texts = partial(failed_records=["identity events are not allowed"])
    assert read_reply(texts, SENT).error == "identity events are not allowed"
    assert read_reply(partial(failed_records=None), SENT).error.startswith("some data")


def test_a_403_of_a_proxy_is_not_a_rejection_of_the_login() -> None:
    with pytest.raises(RetryableError) as caught:
        read_reply(reply(403, raw=b"<html>Forbidden</html>"), SENT)
    assert not isinstance(caught.value, CredentialsRejected)


def test_an_id_that_stands_twice_proves_nothing() -> None:
    twice = [SENT[1], SENT[1], SENT[2]]
    assert read_reply(partial(failed_records=[WITHOUT_INDEX]), twice).vague


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, CredentialsRejected),
        (403, CredentialsRejected),
        (404, CredentialsRejected),
        (413, TooLarge),
        (301, RetryableError),
        (500, RetryableError),
    ],
)
def test_other_answers_are_named_by_what_happens_next(
    status: int, error: type[BridgeError]
) -> None:
    with pytest.raises(error) as caught:
        read_reply(reply(status, {"error": "canary"}), SENT)
    assert "canary" not in str(caught.value)
