"""Which Braze profile a device belongs to.

users/track knows no devices, and each look-up costs a call. For adding, the warm
process caches what was found, but an anonymous visitor may log in and a device that
Braze does not know may turn up: no look-up is used that is older than the sync. For
removing, nothing is cached.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from threading import Lock

from bridge.braze.client import BrazeClient
from bridge.cohorts.ports.route import Change
from bridge.cohorts.rules.identifiers import Identifier, Kind, identify
from bridge.reasons import Reason

ANONYMOUS_SECONDS = 900.0
OTHER_SECONDS = 300.0
MAX_DEVICES = 50_000

type Profile = Mapping[str, object]
"""The fields of a profile as Braze exports them; absent where empty."""


class Devices:
    """Looks devices up and caches the latest; `clock` gives epoch seconds."""

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        max_devices: int = MAX_DEVICES,
    ) -> None:
        self._clock = clock
        self._max_devices = max_devices
        self._known: dict[str, tuple[float, str, str]] = {}
        self._lock = Lock()

    def find(
        self, braze: BrazeClient, device: str, since: float = 0.0
    ) -> tuple[str, str]:
        """The `braze_id` to add to, or "" and the reason why there is none.

        A device of an identified user is left alone, as Braze's own cohort import does
        (requirement R6). A look-up from before `since` does not count.
        """
        with self._lock:
            at, braze_id, reason = self._known.pop(device, (float("-inf"), "", ""))
        now = self._clock()
        seconds = ANONYMOUS_SECONDS if braze_id else OTHER_SECONDS
        if at < since or now >= at + seconds:
            at, (braze_id, reason) = now, _look_up(braze, device)
        with self._lock:
            self._known[device] = at, braze_id, reason
            if len(self._known) > self._max_devices:
                del self._known[next(iter(self._known))]
        return braze_id, reason


def _look_up(braze: BrazeClient, device: str) -> tuple[str, str]:
    found = braze.find_device(device)
    if any(profile.get("external_id") for profile in found):
        return "", Reason.DEVICE_IDENTIFIED
    for profile in found:
        braze_id = profile.get("braze_id")
        if isinstance(braze_id, str) and braze_id:
            return braze_id, ""
    return "", Reason.DEVICE_UNKNOWN


def holders(braze: BrazeClient, change: Change) -> Sequence[Profile]:
    """The profiles that a device has to be removed from, looked up now.

    That is the one it was written by, identified since or not. Where that was merged
    into another user, membership went along, and the device leads there. A profile that
    is a member by another identifier keeps its membership; not by a device that it has
    taken over from another profile, which is the member.
    """
    found = braze.find_identifiers("device_id", change.identifier.value)
    if change.braze_id:
        written = [each for each in found if each.get("braze_id") == change.braze_id]
        found = written or braze.find_identifiers("braze_id", change.braze_id) or found
    identified = (each for each in found if {"external_id", "braze_id"} & each.keys())
    return [each for each in identified if not _is_member(braze, each, change)]


def _is_member(braze: BrazeClient, profile: Profile, change: Change) -> bool:
    others = _others(profile, change)
    return bool(others) and any(
        # Where the profile that it was written by is gone, it was merged into this one.
        written_by in {"", profile.get("braze_id")}
        or not braze.find_identifiers("braze_id", written_by)
        for _, written_by in change.members_of(others)
    )


def _others(profile: Profile, change: Change) -> Sequence[Identifier]:
    """The identifiers of the profile but for the one that is removed."""
    found = [
        identify(Kind.EXTERNAL_ID, profile.get("external_id")),
        identify(Kind.EMAIL, profile.get("email")),
        identify(Kind.PHONE, profile.get("phone")),
        *(
            identify(Kind.ALIAS, alias.get("alias_name"), str(alias.get("alias_label")))
            for alias in _objects(profile.get("user_aliases"))
        ),
        *(
            identify(Kind.DEVICE, device.get("device_id"))
            for device in _objects(profile.get("devices"))
        ),
    ]
    return [
        each
        for each in found
        if isinstance(each, Identifier) and each != change.identifier
    ]


def _objects(value: object) -> Sequence[Mapping[str, object]]:
    listed = value if isinstance(value, list) else []
    return [each for each in listed if isinstance(each, dict)]
