"""Braze's rate limits: calls a window by group of endpoints, and their headers.

Windows follow the clock and do not roll. Source: Braze docs, "Rate limits". Contracts
by monthly users give the seconds left, the others an epoch.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

NAMES = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")


@dataclass(frozen=True, slots=True)
class RateLimit:
    """So many calls a window of so many seconds."""

    calls: int
    seconds: float


IDENTITY = "/users/identify"
PARTNERS = "/partners"
LIMITS: Mapping[str, RateLimit] = {
    "/users/track": RateLimit(3_000, 3.0),
    "/users/track/bulk": RateLimit(50, 1.0),
    "/users/export/ids": RateLimit(250, 60.0),
    IDENTITY: RateLimit(20_000, 60.0),
    PARTNERS: RateLimit(250_000, 3_600.0),
}
"""By group: the identity endpoints share one, and so do the partners' paths.

That of exports is the strict one, of customers since 2024-08-22; others have 2,500.
"""


def group_of(path: str) -> str:
    """Which limit a path counts towards."""
    if path.startswith("/partners/"):
        return PARTNERS
    return IDENTITY if path == "/users/alias/new" else path


class RateWindows:
    """Counts calls; `epoch_reset` says in which form the end of a window is given."""

    def __init__(
        self,
        limits: Mapping[str, RateLimit],
        clock: Callable[[], float],
        *,
        epoch_reset: bool,
    ) -> None:
        self._limits = {**LIMITS, **limits}
        self._clock = clock
        self._epoch_reset = epoch_reset
        self._used: dict[str, tuple[int, int]] = {}
        self._lock = threading.Lock()

    def count(self, path: str) -> tuple[bool, dict[str, str]]:
        """Whether one more call is within the limit, and the headers of its answer."""
        group = group_of(path)
        limit = self._limits[group]
        with self._lock:
            now = self._clock()
            window = int(now // limit.seconds)
            ends = (window + 1) * limit.seconds
            began, used = self._used.get(group, (window, 0))
            if began != window:
                used = 0
            if used >= limit.calls:
                return False, {"x-ratelimit-retry-after": str(int(ends - now) + 1)}
            self._used[group] = window, used + 1
        reset = ends if self._epoch_reset else ends - now
        values = (limit.calls, limit.calls - used - 1, int(reset))
        return True, dict(zip(NAMES, map(str, values), strict=True))

    def clear(self) -> None:
        """Begin all windows anew."""
        with self._lock:
            self._used.clear()
