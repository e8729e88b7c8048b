"""Functions as processes under AWS's runtime client: environment, errors, limits."""

import concurrent.futures
import json
import time
from pathlib import Path
from typing import Any

import pytest

from sandbox.cloud import Cloud
from sandbox.cloudformation.settings import FunctionSettings
from sandbox.lambda_runtime.functions import LambdaFunction
from sandbox.lambda_runtime.invocation import RequestTooLarge, Throttled
from sandbox.lambda_runtime.processes import ChildGroup
from tests.sandbox.recorder import eventually


def probe(cloud: Cloud, **event: Any) -> Any:
    invocation = cloud.invoke("Probe", event)
    assert invocation.function_error is None
    return json.loads(invocation.payload)


def failure(cloud: Cloud, name: str = "Probe", **event: Any) -> Any:
    invocation = cloud.invoke(name, event)
    assert invocation.function_error == "Unhandled"
    return json.loads(invocation.payload)


def test_a_function_finds_lambdas_environment(cloud: Cloud) -> None:
    """AWS Lambda Developer Guide, "Working with Lambda environment variables", "Defined
    runtime environment variables" (configuration-envvars)."""
    found = probe(cloud, do="environment")
    resources = cloud.description["resources"]
    assert found["AWS_LAMBDA_FUNCTION_NAME"] == "sandbox-Probe"
    assert found["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256"
    assert found["AWS_LAMBDA_FUNCTION_VERSION"] == "$LATEST"
    assert found["AWS_EXECUTION_ENV"] == "AWS_Lambda_python3.13"
    assert found["AWS_REGION"] == found["AWS_DEFAULT_REGION"] == "us-east-1"
    assert found["_HANDLER"] == "app.handler"
    assert found["LAMBDA_TASK_ROOT"].endswith("/Probe")
    assert found["TZ"] == ":UTC"
    assert found["SHARED"] == "from globals"
    assert found["GREETING"] == "hello"
    assert found["QUEUE_URL"] == resources["Queue"]
    assert found["AWS_ENDPOINT_URL"] == cloud.description["aws_endpoint_url"]
    assert "HOME" not in found
    assert "VIRTUAL_ENV" not in found


def test_a_function_sees_its_layers_and_not_the_developers_packages(
    cloud: Cloud,
) -> None:
    """AWS Lambda Developer Guide, "Packaging your layer content", paths per runtime
    (packaging-layers)."""
    names = ["inlayer", "awslambdaric", "moto", "pytest", "yaml", "boto3"]
    assert probe(cloud, do="modules", names=names) == ["inlayer", "awslambdaric"]
    assert not [path for path in probe(cloud, do="path") if "site-packages" in path
                and "/Layer/" not in path]  # fmt: skip


def test_an_environment_is_used_again(cloud: Cloud) -> None:
    """AWS Lambda Developer Guide, "Understanding the Lambda execution environment
    lifecycle" (lambda-runtime-environment)."""
    name, first, left, process = probe(cloud, do="context")
    _, second, _, again = probe(cloud, do="context")
    assert name == "sandbox-Probe"
    assert first != second
    assert 0 < left <= 2000
    assert process == again


def test_a_process_that_is_killed_fails_its_invocation_and_is_replaced(
    cloud: Cloud,
) -> None:
    """AWS Lambda Developer Guide, "Understanding the Lambda execution environment
    lifecycle" (lambda-runtime-environment)."""
    _, _, _, process = probe(cloud, do="context")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        sleeping = pool.submit(failure, cloud, do="sleep", seconds=1.5)
        while not cloud._functions["Probe"].under_way:
            time.sleep(0.01)
        cloud.kill("Probe")
        assert sleeping.result()["errorType"] == "Runtime.ExitError"
    assert probe(cloud, do="context")[3] != process


def test_an_exception_is_an_unhandled_error(cloud: Cloud) -> None:
    """AWS Lambda Developer Guide, "AWS Lambda function errors in Python"
    (python-exceptions)."""
    error = failure(cloud, do="raise")
    assert error["errorType"] == "RuntimeError"
    assert error["errorMessage"] == "on purpose"
    assert error["stackTrace"]


def test_a_timeout_kills_the_process(cloud: Cloud) -> None:
    """AWS Lambda Developer Guide, "Troubleshoot invocation issues in Lambda", "Task
    timed out" (troubleshooting-invocation)."""
    *_, before = probe(cloud, do="context")
    error = failure(cloud, do="sleep", seconds=30)
    assert error["errorType"] == "Sandbox.Timedout"
    assert error["errorMessage"].endswith("Error: Task timed out after 2.00 seconds")
    *_, after = probe(cloud, do="context")
    assert before != after


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (1, "Runtime exited with error: exit status 1"),
        (0, "Runtime exited without providing a reason"),
    ],
)
def test_an_exit_is_an_error_and_the_next_invocation_starts_anew(
    cloud: Cloud, status: int, reason: str
) -> None:
    """AWS Lambda Developer Guide, "Troubleshoot invocation issues in Lambda",
    Runtime.ExitError (troubleshooting-invocation)."""
    error = failure(cloud, do="exit", status=status)
    assert error["errorType"] == "Runtime.ExitError"
    assert error["errorMessage"].endswith(reason)
    assert probe(cloud, do="nothing") == {"do": "nothing"}


def test_a_killed_process_fails_its_invocation_and_is_replaced(cloud: Cloud) -> None:
    """What a lost machine looks like: Runtime.ExitError with the signal."""
    probe(cloud, do="nothing")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        asleep = pool.submit(failure, cloud, do="sleep", seconds=1.5)
        eventually(lambda: cloud._functions["Probe"].under_way)
        cloud.kill("Probe")
        error = asleep.result()
    assert error["errorType"] == "Runtime.ExitError"
    assert error["errorMessage"].endswith("signal: 9")
    assert probe(cloud, do="nothing") == {"do": "nothing"}


def test_an_import_the_layer_lacks_fails_at_init(cloud: Cloud) -> None:
    """AWS Lambda Developer Guide, "Using the Lambda runtime API for custom runtimes",
    "Initialization error" (runtimes-api)."""
    for _ in range(2):
        error = failure(cloud, "Broken")
        assert error["errorType"] == "Runtime.ImportModuleError"
        assert "not_in_the_layer" in error["errorMessage"]


def test_an_answer_over_six_megabytes_is_an_error(cloud: Cloud) -> None:
    """AWS Lambda Developer Guide, "Lambda quotas", invocation payload
    (gettingstarted-limits)."""
    error = failure(cloud, do="answer", size=6_300_000)
    assert error["errorType"] == "Function.ResponseSizeTooLarge"
    assert len(probe(cloud, do="answer", size=6_200_000)) == 6_200_000


def test_an_event_over_six_megabytes_is_refused(cloud: Cloud) -> None:
    """AWS Lambda API Reference, "Invoke", RequestTooLargeException (API_Invoke)."""
    with pytest.raises(RequestTooLarge):
        cloud.invoke("Probe", {"x": "y" * 6_300_000})


def test_concurrent_invocations_have_processes_of_their_own(cloud: Cloud) -> None:
    """AWS Lambda Developer Guide, "Understanding Lambda function scaling"
    (lambda-concurrency)."""
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        waits = [pool.submit(probe, cloud, do="sleep", seconds=0.2) for _ in range(2)]
        [wait.result() for wait in waits]
        contexts = [pool.submit(probe, cloud, do="context") for _ in range(40)]
        processes = {context.result()[3] for context in contexts}
    assert 1 <= len(processes) <= 2


def test_reserved_concurrency_throttles(tmp_path: Path) -> None:
    """AWS Lambda Developer Guide, "Configuring reserved concurrency for a function"
    (configuration-concurrency)."""
    settings = FunctionSettings("F", "f", "arn", "app.handler", tmp_path, reserved=0)
    children = ChildGroup()
    function = LambdaFunction(settings, {}, children, tmp_path / "log", 2)
    try:
        with pytest.raises(Throttled):
            function.invoke(b"{}")
    finally:
        function.close()
        children.close()


def test_the_log_has_what_the_handler_wrote_and_lambdas_own_lines(
    cloud: Cloud,
) -> None:
    """AWS Lambda Developer Guide, "Log and monitor Python Lambda functions"
    (python-logging)."""
    failure(cloud, do="raise")
    log = Path(cloud.description["logs"], "Probe.log").read_text("utf-8")
    assert "[ERROR] RuntimeError: on purpose" in log
    assert "START RequestId: " in log
    assert "REPORT RequestId: " in log
