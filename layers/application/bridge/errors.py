"""The tree of errors, named by what happens next, not by what went wrong.

    BridgeError
    ├── RetryableError            it heals by itself: the platform delivers it again
    │   └── CredentialsRejected   waits for a person, raises an alarm, never quarantines
    └── PermanentError            trying again cannot help: quarantine, with reason
        ├── MalformedInput        what came in cannot be understood
        └── Rejected              the vendor refused this item
            └── TooLarge          … for its size: halve it and try the halves

`reason` is a short fixed code, fit for a metric or a log. Neither it nor the message
may carry a secret, a body or a member: both vendors echo keys in their errors.
"""


class BridgeError(Exception):
    """Base of all errors that the bridge raises on purpose."""

    def __init__(self, reason: str, message: str = "") -> None:
        super().__init__(message or reason)
        self.reason = reason


class RetryableError(BridgeError):
    """Fails now, heals later; `retry_after` is in seconds where the vendor said so."""

    def __init__(
        self, reason: str, message: str = "", *, retry_after: float | None = None
    ) -> None:
        super().__init__(reason, message)
        self.retry_after = retry_after


class CredentialsRejected(RetryableError):
    """A vendor refuses our credentials: only an operator can mend that."""


class PermanentError(BridgeError):
    """Will fail in the same way for ever; the item goes to quarantine."""


class MalformedInput(PermanentError):
    """The input cannot be understood; `field` says where, as a dotted path."""

    def __init__(self, reason: str, message: str = "", *, field: str = "") -> None:
        super().__init__(reason, message)
        self.field = field


class Rejected(PermanentError):
    """The vendor refused this very item."""


class TooLarge(Rejected):
    """The vendor refused the request for its size or its count of items."""
