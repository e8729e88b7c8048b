"""The tree of errors says what happens next: defer, or quarantine."""

import pytest

from bridge.errors import (
    BridgeError,
    CredentialsRejected,
    MalformedInput,
    PermanentError,
    Rejected,
    RetryableError,
    TooLarge,
)


@pytest.mark.parametrize("error", [RetryableError, CredentialsRejected])
def test_what_heals_is_never_permanent(error: type[BridgeError]) -> None:
    assert issubclass(error, RetryableError)
    assert not issubclass(error, PermanentError)


@pytest.mark.parametrize("error", [PermanentError, MalformedInput, Rejected, TooLarge])
def test_what_cannot_heal_is_never_retried(error: type[BridgeError]) -> None:
    assert issubclass(error, PermanentError)
    assert not issubclass(error, RetryableError)


def test_a_reason_stands_in_for_a_message() -> None:
    assert str(RetryableError("braze_503")) == "braze_503"
    assert str(RetryableError("braze_503", "Braze is down")) == "Braze is down"


def test_an_error_has_the_pause_or_the_field_that_it_is_about() -> None:
    assert RetryableError("braze_429", retry_after=7.0).retry_after == 7.0
    assert MalformedInput("bad_time", field="time").field == "time"
