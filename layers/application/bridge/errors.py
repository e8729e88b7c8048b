"""The tree of errors, named by what happens next, not by what went wrong.

    BridgeError
    ├── RetryableError            heals by itself: defer, the platform delivers it again
    │   ├── CredentialsRejected   needs a person: defer and raise an alarm
    │   └── Unverified            a caller whom nobody knows yet: defer, ring nothing
    └── PermanentError            a retry cannot help: quarantine with the reason
        ├── MalformedInput        the input cannot be understood
        └── Rejected              the vendor rejects the item or the request
            └── TooLarge          … for its size: halve it and send the halves
                └── TooMany       … for its count of items: smaller calls from now on

`reason` is a short fixed code, fit for a metric or a log. Neither it nor the message
may contain a secret, a body or a member: both vendors echo keys in their errors.
"""


class BridgeError(Exception):
    """Base of every error that the bridge raises on purpose."""

    def __init__(self, reason: str, message: str = "") -> None:
        super().__init__(message or reason)
        self.reason = reason


class RetryableError(BridgeError):
    """Heals by itself; `retry_after` is the pause in seconds that a vendor asks for."""

    def __init__(
        self, reason: str, message: str = "", *, retry_after: float | None = None
    ) -> None:
        super().__init__(reason, message)
        self.retry_after = retry_after


class CredentialsRejected(RetryableError):
    """A vendor rejects our credentials: only an operator can correct them."""


class Unverified(RetryableError):
    """A caller's credentials are unknown, and cannot be called wrong yet."""


class PermanentError(BridgeError):
    """Fails in the same way at every retry: the item is quarantined."""


class MalformedInput(PermanentError):
    """The input cannot be understood; `field` says where, as a dotted path."""

    def __init__(self, reason: str, message: str = "", *, field: str = "") -> None:
        super().__init__(reason, message)
        self.field = field


class Rejected(PermanentError):
    """The vendor rejects this very item or request."""


class TooLarge(Rejected):
    """The vendor rejects the request for its size."""


class TooMany(TooLarge):
    """The vendor takes fewer items a request than were sent."""
