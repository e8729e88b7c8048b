"""What is logged: structured lines, no secret, no foreign message."""

import io
import json
from typing import Any

import pytest

from bridge.observability import (
    Metric,
    count,
    log_fault,
    logger,
    observed,
    register_secret,
)
from tests.integration.stack import Context


def fail() -> None:
    raise KeyError("canary-member@example.com")


def test_a_fault_is_logged_with_its_place_and_without_its_message(
    logged: io.StringIO,
) -> None:
    try:
        fail()
    except KeyError as error:
        log_fault("page not accepted", error)
    line = json.loads(logged.getvalue())
    assert line["error"] == "KeyError"
    assert any("test_observability.py" in at for at in line["at"])
    assert "canary" not in json.dumps(line)


def test_a_registered_secret_never_reaches_a_line(
    logged: io.StringIO,
) -> None:
    register_secret("canary-registered")
    logger.info("the key is canary-registered", extra={"key": "canary-registered"})
    assert "canary-registered" not in logged.getvalue()


def test_an_observed_handler_logs_the_request_id_and_writes_its_metrics(
    logged: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    @observed
    def handler(event: dict[str, Any], context: Any) -> int:
        count(Metric.MAINTENANCE_RUNS)
        logger.info("called")
        return len(event)

    assert handler({"a": 1}, Context()) == 1
    line = json.loads(logged.getvalue())
    assert line["function_request_id"] == Context.aws_request_id
    assert '"MaintenanceRuns":[1.0]' in capsys.readouterr().out


def test_an_observed_handler_never_logs_its_event(
    logged: io.StringIO,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever Powertools is told to: an event is members, or their events."""
    monkeypatch.setenv("POWERTOOLS_LOGGER_LOG_EVENT", "true")

    @observed
    def handler(event: dict[str, Any], context: Any) -> None:
        count(Metric.MAINTENANCE_RUNS)
        logger.info("called")

    handler({"body": "canary-member@example.com"}, Context())
    assert "called" in logged.getvalue()
    assert "canary" not in logged.getvalue() + capsys.readouterr().out
