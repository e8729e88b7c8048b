"""Which answers fail which items of a batch."""

import json
from typing import Any

import pytest

from sandbox.event_sources.batch_response import CompleteFailure, failed_identifiers
from sandbox.lambda_runtime.invocation import Invocation

KNOWN = {"a", "b", "c"}


def failed(payload: bytes, error: str | None = None, *, reports: bool = True) -> Any:
    invocation = Invocation("request", payload, error)
    return failed_identifiers(invocation, KNOWN, reports=reports)


def answer(*identifiers: Any) -> bytes:
    items = [{"itemIdentifier": identifier} for identifier in identifiers]
    return json.dumps({"batchItemFailures": items}).encode()


@pytest.mark.parametrize(
    "payload",
    [
        b'{"batchItemFailures": []}',
        b'{"batchItemFailures": null}',
        b"{}",
        b"null",
        b'{"statusCode": 200}',
    ],
)
def test_an_answer_without_failures_is_a_complete_success(payload: bytes) -> None:
    """AWS Lambda Developer Guide, "Handling errors for an SQS event source in Lambda",
    "Success and failure conditions" (services-sqs-errorhandling)."""
    assert failed(payload) == []


@pytest.mark.parametrize(
    "payload",
    [
        answer(""),
        answer(None),
        answer("unknown"),
        answer("a", "unknown"),
        answer(7),
        b'{"batchItemFailures": [{"ItemIdentifier": "a"}]}',
        b'{"batchItemFailures": [{"messageId": "a"}]}',
        b'{"batchItemFailures": ["a"]}',
        b'{"batchItemFailures": "a"}',
        b'"done"',
        b"[]",
        b"not json",
    ],
)
def test_an_answer_that_names_no_item_fails_the_whole_batch(payload: bytes) -> None:
    """AWS Lambda Developer Guide, "Handling errors for an SQS event source in Lambda",
    "Success and failure conditions" (services-sqs-errorhandling): invalid JSON, an
    empty or null identifier, a bad key name, an id that does not exist."""
    with pytest.raises(CompleteFailure):
        failed(payload)


def test_listed_items_fail_and_the_others_succeed() -> None:
    """AWS Lambda Developer Guide, "Configuring partial batch response with Kinesis Data
    Streams and Lambda" (services-kinesis-batchfailurereporting)."""
    assert failed(answer("b", "c")) == ["b", "c"]


def test_a_function_error_fails_the_whole_batch_whatever_the_payload() -> None:
    """AWS Lambda Developer Guide, "Handling errors for an SQS event source in Lambda":
    an unhandled exception is a complete failure (services-sqs-errorhandling)."""
    with pytest.raises(CompleteFailure):
        failed(b'{"batchItemFailures": []}', "Unhandled")


def test_without_the_response_type_the_answer_is_not_read() -> None:
    """AWS Lambda Developer Guide, "Handling errors for an SQS event source in Lambda":
    partial responses must be activated (services-sqs-errorhandling)."""
    assert failed(answer("a"), reports=False) == []
    assert failed(b"not json", reports=False) == []
