"""Which Braze profile a device belongs to, cached for a while.

users/track knows no devices, and each look-up costs a call. The warm process caches
what was found, but not for long: an anonymous visitor may log in, and a device that
Braze does not know may turn up.
"""

import time
from collections.abc import Callable

from bridge.braze.client import BrazeClient
from bridge.reasons import Reason

ANONYMOUS_SECONDS = 900.0
OTHER_SECONDS = 300.0
MAX_DEVICES = 50_000


class Devices:
    """Looks devices up and caches the latest; `clock` is monotonic."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        max_devices: int = MAX_DEVICES,
    ) -> None:
        self._clock = clock
        self._max_devices = max_devices
        self._known: dict[str, tuple[float, str, str]] = {}

    def find(self, braze: BrazeClient, device: str) -> tuple[str, str]:
        """The `braze_id` to write to, or "" and the reason why there is none.

        A device of an identified user is left alone, as Braze's own cohort import does
        (requirement R6).
        """
        until, braze_id, reason = self._known.pop(device, (0.0, "", ""))
        now = self._clock()
        if now >= until:
            braze_id, reason = _look_up(braze, device)
            until = now + (ANONYMOUS_SECONDS if braze_id else OTHER_SECONDS)
        self._known[device] = until, braze_id, reason
        if len(self._known) > self._max_devices:
            del self._known[next(iter(self._known))]
        return braze_id, reason


def _look_up(braze: BrazeClient, device: str) -> tuple[str, str]:
    found = braze.find_device(device)
    if any(user.get("external_id") for user in found):
        return "", Reason.DEVICE_IDENTIFIED
    for user in found:
        braze_id = user.get("braze_id")
        if isinstance(braze_id, str) and braze_id:
            return braze_id, ""
    return "", Reason.DEVICE_UNKNOWN
