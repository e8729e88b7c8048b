"""Partial batch responses: what an event source mapping reads out of an answer.

The rules are the same for queues and streams, and strict both ways: an answer without
failures is a success, a malformed one fails the whole batch.
"""

import json
from collections.abc import Container

from sandbox.lambda_runtime.invocation import Invocation


class CompleteFailure(Exception):
    """The batch counts as failed as a whole."""


def failed_identifiers(
    invocation: Invocation, known: Container[str], *, reports: bool
) -> list[str]:
    """The identifiers to retry; `reports` is FunctionResponseTypes.

    Raises CompleteFailure on a function error and on an answer that names no item of
    the batch (AWS Lambda Developer Guide, "Handling errors for an SQS event source in
    Lambda", "Success and failure conditions").
    """
    if invocation.function_error is not None:
        raise CompleteFailure(invocation.function_error)
    if not reports:
        return []
    try:
        answer = json.loads(invocation.payload)
    except ValueError:
        raise CompleteFailure("the answer is not JSON") from None
    if answer is None:
        return []
    if not isinstance(answer, dict):
        raise CompleteFailure("the answer is not an object")
    failures = answer.get("batchItemFailures")
    if failures is None:
        return []
    if not isinstance(failures, list):
        raise CompleteFailure("batchItemFailures is not a list")
    identifiers = []
    for failure in failures:
        identifier = (
            failure.get("itemIdentifier") if isinstance(failure, dict) else None
        )
        if not isinstance(identifier, str) or identifier not in known:
            raise CompleteFailure("an itemIdentifier names no item of the batch")
        identifiers.append(identifier)
    return identifiers
