"""A monotonic clock that a test moves."""


class Clock:
    """Called as `time.monotonic` is; `now` is in seconds."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now
