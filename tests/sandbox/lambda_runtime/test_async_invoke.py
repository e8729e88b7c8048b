"""Asynchronous invocation: retries, age, destinations."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.cloud import Cloud
from sandbox.cloudformation.settings import AsyncSettings, FunctionSettings
from sandbox.lambda_runtime.async_invoke import AsyncInvoker
from sandbox.lambda_runtime.destinations import Destinations
from sandbox.lambda_runtime.invocation import Invoke, RequestTooLarge, Throttled
from tests.sandbox.queues import MakeQueue
from tests.sandbox.recorder import Recorder, eventually

ARN = "arn:aws:lambda:us-east-1:123456789012:function:loader"


@contextlib.contextmanager
def invoking(cloud: Cloud, invoke: Invoke, **settings: Any) -> Iterator[AsyncInvoker]:
    invoker = AsyncInvoker(
        FunctionSettings("Loader", "loader", ARN, "app.handler", Path()),
        AsyncSettings(**settings),
        invoke,
        Destinations(cloud.client),
        retry_waits=(0.02, 0.04),
    )
    invoker.start()
    try:
        yield invoker
    finally:
        invoker.stop()


def raising(event: Any) -> None:
    raise RuntimeError("on purpose")


def test_a_failed_event_is_tried_three_times(cloud: Cloud) -> None:
    """AWS Lambda Developer Guide, "How Lambda handles errors and retries with
    asynchronous invocation" (invocation-async-error-handling)."""
    recorder = Recorder(raising)
    with invoking(cloud, recorder) as invoker:
        invoker.submit(b'{"a": 1}')
        eventually(invoker.idle)
    assert recorder.events == [{"a": 1}] * 3


def test_the_number_of_retries_can_be_set(cloud: Cloud) -> None:
    """AWS Lambda Developer Guide, "Configuring error handling settings for Lambda
    asynchronous invocations" (invocation-async-configuring)."""
    recorder = Recorder(raising)
    with invoking(cloud, recorder, retries=0) as invoker:
        invoker.submit(b"{}")
        eventually(invoker.idle)
    assert len(recorder.events) == 1


def test_an_event_given_up_goes_to_the_destination_with_its_request(
    cloud: Cloud, make_queue: MakeQueue
) -> None:
    """AWS Lambda Developer Guide, "Capturing records of Lambda asynchronous
    invocations" (invocation-async-retain-records)."""
    queue = make_queue()
    target = queue.source.queue_arn
    with invoking(cloud, Recorder(raising), on_failure=target) as invoker:
        request_id = invoker.submit(b'{"a": 1}')
        eventually(invoker.idle)
    [message] = queue.receive()
    record = json.loads(message["Body"])
    assert record.pop("timestamp").endswith("Z")
    assert record == {
        "version": "1.0",
        "requestContext": {
            "requestId": request_id,
            "functionArn": f"{ARN}:$LATEST",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": {"a": 1},
        "responseContext": {
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": "Unhandled",
        },
        "responsePayload": {"errorType": "E", "errorMessage": "on purpose"},
    }


def test_a_bucket_may_be_the_destination(cloud: Cloud, unique: str) -> None:
    """AWS Lambda Developer Guide, "Capturing records of Lambda asynchronous
    invocations", S3 destinations (invocation-async-retain-records)."""
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=unique)
    target = f"arn:aws:s3:::{unique}"
    with invoking(cloud, Recorder(raising), retries=0, on_failure=target) as invoker:
        invoker.submit(b'{"a": 1}')
        eventually(invoker.idle)
    [entry] = s3.list_objects_v2(Bucket=unique)["Contents"]
    assert entry["Key"].startswith("aws/lambda/async/loader/20")


def test_a_dead_letter_queue_gets_the_bare_event(
    cloud: Cloud, make_queue: MakeQueue
) -> None:
    """AWS Lambda Developer Guide, "Adding a dead-letter queue"
    (invocation-async-retain-records)."""
    queue = make_queue()
    target = queue.source.queue_arn
    with invoking(cloud, Recorder(raising), dead_letter_queue=target) as invoker:
        invoker.submit(b'{"a": 1}')
        eventually(invoker.idle)
    [message] = queue.receive()
    assert message["Body"] == '{"a": 1}'


def test_an_event_past_its_age_is_not_tried(
    cloud: Cloud, make_queue: MakeQueue
) -> None:
    """AWS Lambda Developer Guide, "Configuring error handling settings for Lambda
    asynchronous invocations", maximum age of event (invocation-async-configuring)."""
    queue = make_queue()
    recorder = Recorder(raising)
    target = queue.source.queue_arn
    with invoking(cloud, recorder, maximum_age=-1, on_failure=target) as invoker:
        invoker.submit(b"{}")
        eventually(invoker.idle)
    assert recorder.events == []
    [message] = queue.receive()
    condition = json.loads(message["Body"])["requestContext"]["condition"]
    assert condition == "EventAgeExceeded"


def test_throttling_costs_no_retry(cloud: Cloud) -> None:
    """AWS Lambda Developer Guide, "How Lambda handles errors and retries with
    asynchronous invocation" (invocation-async-error-handling)."""
    recorder = Recorder(lambda event: None)
    refusals = iter([Throttled()] * 5)

    def invoke(payload: bytes) -> Any:
        if refusal := next(refusals, None):
            raise refusal
        return recorder(payload)

    with invoking(cloud, invoke) as invoker:
        invoker.submit(b"{}")
        eventually(invoker.idle)
    assert len(recorder.events) == 1


def test_an_event_over_one_megabyte_is_refused(cloud: Cloud) -> None:
    """AWS Lambda Developer Guide, "Lambda quotas", invocation payload
    (gettingstarted-limits)."""
    with invoking(cloud, Recorder(lambda event: None)) as invoker:
        with pytest.raises(RequestTooLarge):
            invoker.submit(b"x" * 1_048_577)
        assert invoker.idle()
