"""What is logged: structured lines, no secret, no foreign message."""

import io
import json

from bridge.observability import log_fault, logger, register_secret


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
