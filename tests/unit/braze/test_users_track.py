"""What Braze's users/track answers, and what each answer means."""

import json
from typing import Any

import pytest

from bridge.braze.users_track import (
    TrackReply,
    array_operation,
    attributes_object,
    read_export,
    read_reply,
)
from bridge.errors import (
    BridgeError,
    CredentialsRejected,
    Rejected,
    RetryableError,
    TooLarge,
    TooMany,
)
from bridge.reasons import is_lasting
from bridge.transport import Reply


def reply(status: int, body: Any = None, *, raw: bytes | None = None) -> Reply:
    content = json.dumps(body).encode() if raw is None else raw
    return Reply(status, {}, content)


ERROR = {"type": "EXTERNAL_USER_ID_TOO_LARGE", "input_array": "attributes", "index": 1}


def test_membership_is_written_without_creating_a_user() -> None:
    assert attributes_object({"external_id": "u"}, "cohorts", True) == {
        "external_id": "u",
        "_update_existing_only": True,
        "cohorts": True,
    }
    assert array_operation("c_1", present=True) == {"add": ["c_1"]}
    assert array_operation("c_1", present=False) == {"remove": ["c_1"]}


@pytest.mark.parametrize(
    "answer",
    [
        reply(201, {"message": "success", "attributes_processed": 2}),
        reply(200, {}),
        reply(202, {"message": "queued"}),
        reply(201, {"message": "success", "errors": None}),
        reply(201, {"message": "success", "errors": []}),
        reply(201, raw=b""),
        reply(201, raw=b"<html>"),
        reply(201, {"message": "Success"}),
        reply(202, {"message": "QUEUED "}),
        reply(201, {"attributes_processed": "1"}),
        reply(201, {"attributes_processed": 3}),
    ],
)
def test_accepted(answer: Reply) -> None:
    assert read_reply(answer, 2) == TrackReply({})


def test_partial_errors_are_matched_by_index() -> None:
    answer = reply(201, {"message": "success", "errors": [ERROR]})
    expected = TrackReply({1: "braze_external_user_id_too_large"})
    assert read_reply(answer, 2) == expected


def test_where_all_are_rejected_by_index_each_has_its_code() -> None:
    body = {"message": "Valid data must be provided", "errors": [ERROR | {"index": 0}]}
    assert read_reply(reply(400, body), 1).rejected.keys() == {0}


@pytest.mark.parametrize(
    "errors",
    [
        ["a sentence"],
        [{"type": "x"}],
        [ERROR | {"index": 7}],
        [ERROR | {"index": "1"}],
        [ERROR | {"input_array": "events"}],
    ],
)
def test_an_error_that_names_no_object_of_ours_is_vague(errors: list[Any]) -> None:
    assert read_reply(reply(201, {"message": "success", "errors": errors}), 2).vague


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (reply(401, {"message": "Invalid API key: canary"}), CredentialsRejected),
        (reply(403, {}), CredentialsRejected),
        (reply(404, {}), CredentialsRejected),
        (reply(415, {}), CredentialsRejected),
        (reply(413, {}), TooLarge),
        (reply(400, {"message": "Max Input Length Exceeded"}), TooMany),
        (reply(400, {"message": "max input length exceeded."}), TooMany),
        (reply(400, {"error": "Too many objects: canary"}), TooMany),
        (reply(400, {"message": "canary", "errors": [ERROR]}), Rejected),
        (reply(400, {"error": "canary"}), Rejected),
        (reply(201, {"message": "canary: not today"}), RetryableError),
        (reply(201, {"error": "canary: not today"}), RetryableError),
        (reply(302, {}), RetryableError),
        (reply(423, {}), RetryableError),
    ],
)
def test_failures_are_named_by_what_happens_next_and_quote_nothing(
    answer: Reply, error: type[BridgeError]
) -> None:
    with pytest.raises(error) as caught:
        read_reply(answer, 2)
    assert type(caught.value) is error
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("errors", ["a sentence", {"index": 1}, 1, False, [[]]])
def test_errors_that_are_no_list_of_objects_are_vague(errors: Any) -> None:
    body = {"message": "success", "attributes_processed": 2, "errors": errors}
    assert read_reply(reply(201, body), 3).vague


@pytest.mark.parametrize(
    ("processed", "errors", "vague"),
    [(2, [], True), (0, None, True), (1, [ERROR], True), (2, [ERROR], False)],
)
def test_a_count_that_the_named_errors_do_not_explain_is_vague(
    processed: int, errors: Any, vague: bool
) -> None:
    body = {"message": "success", "attributes_processed": processed, "errors": errors}
    assert read_reply(reply(201, body), 3).vague is vague


@pytest.mark.parametrize(
    ("sentence", "code"),
    [
        (
            "provided external_id is blacklisted and disallowed",
            "braze_blacklisted_external_user_id",
        ),
        (
            "'external_id' must be fewer than 988 bytes",
            "braze_external_user_id_too_large",
        ),
        ("'external_id' is too long", "braze_external_user_id_too_large"),
        ("'email' has a bad Format", "braze_email_bad_format"),
        ("EMAIL_BAD_FORMAT", "braze_email_bad_format"),
        ("the email service is away", "braze_rejected"),
    ],
)
def test_a_sentence_that_means_a_code_is_that_code(sentence: str, code: str) -> None:
    errors = [{"type": sentence, "index": 1}]
    assert read_reply(reply(201, {"errors": errors}), 2).rejected == {1: code}
    for alone in ([sentence], sentence, [{"type": sentence}]):
        found = read_reply(reply(201, {"errors": alone}), 1)
        assert found == TrackReply({0: code}), "one object: no index is needed"
    assert is_lasting(code) is (code != "braze_rejected")


def test_an_export_gives_the_profiles() -> None:
    users = [{"braze_id": "b", "external_id": "u"}]
    assert read_export(reply(201, {"message": "success", "users": users})) == users
