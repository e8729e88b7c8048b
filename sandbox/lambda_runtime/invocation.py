"""The result of invoking a function, whoever invokes it.

Event source mappings take an `Invoke` and nothing else of Lambda, so that their rules
are tested without a process.
"""

from collections.abc import Callable
from dataclasses import dataclass

# AWS Lambda Developer Guide, "Lambda quotas": 6 MB each for request and response when
# synchronous, 1 MB when asynchronous (256 KB until October 2025).
SYNCHRONOUS_PAYLOAD_LIMIT = 6_291_556
ASYNCHRONOUS_PAYLOAD_LIMIT = 1_048_576


@dataclass(frozen=True, slots=True)
class Invocation:
    """One finished invocation.

    `payload` is the function's answer, or the error object where `function_error` is
    set ("Unhandled", as the X-Amz-Function-Error header says).
    """

    request_id: str
    payload: bytes
    function_error: str | None = None


type Invoke = Callable[[bytes], Invocation]


class NotInvoked(Exception):
    """Lambda answered 4xx; no code ran."""


class Throttled(NotInvoked):
    """The reserved concurrency is used up (429, TooManyRequestsException)."""


class RequestTooLarge(NotInvoked):
    """The event is over 6 MB (413, RequestTooLargeException)."""
