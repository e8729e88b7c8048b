"""A Braze workspace: profiles, their attributes, partner cohorts, and what it costs.

Pure state, no HTTP. The rules are those of Braze's docs, "User attributes object" and
"Cohort import"; each undocumented point is an option.
"""

import itertools
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.braze.attributes import data_points, is_noop, operate

MAX_ARRAY = 500
MAX_ATTRIBUTE_NAME = 255
PRIMARY = ("external_id", "user_alias", "braze_id")
SECONDARY = ("email", "phone")
_IDENTIFYING = {*PRIMARY, "_update_existing_only"}


@dataclass(slots=True, eq=False)
class Profile:
    """One user; anonymous as long as there is no `external_id`."""

    braze_id: str
    external_id: str | None = None
    aliases: dict[str, str] = field(default_factory=dict)
    devices: set[str] = field(default_factory=set)
    attributes: dict[str, Any] = field(default_factory=dict)
    email: str | None = None
    phone: str | None = None
    events: int = 0
    purchases: int = 0
    updated: int = 0

    @property
    def name(self) -> str:
        """What a test calls the user: the external id, else the Braze id."""
        return self.external_id or self.braze_id


@dataclass(slots=True)
class PartnerCohort:
    """A cohort of the partner import; `members` are Braze ids."""

    name: str
    members: set[str] = field(default_factory=set)


def alias_key(label: str, name: str) -> str:
    """How `Workspace.find` names an alias."""
    return f"{label}\0{name}"


class Workspace:
    """Profiles found by external id, alias, Braze id or device.

    `blocked` are external ids rejected per object; `blocked_attributes` are dropped in
    silence; `max_array` is the longest array, the dashboard's setting. `data_points`
    and `noop_writes` are counters, `unknown_users` counts what matched nobody.
    """

    def __init__(self, max_array: int = MAX_ARRAY) -> None:
        self.max_array = max_array
        self.blocked: set[str] = set()
        self.blocked_attributes: set[str] = set()
        self.calls: Counter[str] = Counter()
        self.lock = threading.RLock()
        self.clear()

    def clear(self) -> None:
        """Forget users, cohorts and counters; settings stay."""
        with self.lock:
            self.profiles: list[Profile] = []
            self.cohorts: dict[str, PartnerCohort] = {}
            self.data_points = 0
            self.noop_writes = 0
            self.unknown_users = 0
            self.calls.clear()
            self._numbers = itertools.count(1)
            self._ticks = itertools.count(1)
            self._found: dict[tuple[str, str], Profile] = {}

    def add_user(
        self,
        external_id: str | None = None,
        aliases: Mapping[str, str] | None = None,
        devices: Iterable[str] = (),
        email: str | None = None,
        phone: str | None = None,
    ) -> Profile:
        """Make a user; aliases are label → name."""
        with self.lock:
            profile = Profile(f"{next(self._numbers):024x}", email=email, phone=phone)
            self.profiles.append(profile)
            self._found["braze_id", profile.braze_id] = profile
            if external_id is not None:
                self.identify(profile, external_id)
            for label, name in (aliases or {}).items():
                self.add_alias(profile, label, name)
            for device in devices:
                profile.devices.add(device)
                self._found["device", device] = profile
            return profile

    def identify(self, profile: Profile, external_id: str) -> None:
        """Give an anonymous profile its external id."""
        with self.lock:
            profile.external_id = external_id
            self._found["external_id", external_id] = profile

    def log_in(self, device: str, external_id: str) -> Profile:
        """What the SDK's `changeUser` does on a device; the user who is logged in.

        An anonymous profile is identified, or merged into the user who has the external
        id already. The device of another user changes hands.
        """
        with self.lock:
            before = self.find("device", device) or self.add_user(devices=[device])
            user = self.find("external_id", external_id)
            if before.external_id:
                user = user or self.add_user(external_id)
                before.devices.discard(device)
                user.devices.add(device)
                self._found["device", device] = user
            elif user:
                self.merge(before, user)
            else:
                self.identify(before, external_id)
                user = before
            return user

    def add_alias(self, profile: Profile, label: str, name: str) -> bool:
        """False where the name is taken, or the profile has one under the label."""
        with self.lock:
            key = ("alias", alias_key(label, name))
            if label in profile.aliases or key in self._found:
                return False
            profile.aliases[label] = name
            self._found[key] = profile
            return True

    def merge(self, gone: Profile, kept: Profile) -> None:
        """Move what the kept profile lacks, and all aliases and devices it can take."""
        with self.lock:
            kept.attributes = gone.attributes | kept.attributes
            kept.aliases = gone.aliases | kept.aliases
            kept.devices |= gone.devices
            kept.email = kept.email or gone.email
            kept.phone = kept.phone or gone.phone
            kept.events += gone.events
            kept.purchases += gone.purchases
            self.profiles.remove(gone)
            for key, profile in list(self._found.items()):
                if profile is gone:
                    self._found[key] = kept
            del self._found["braze_id", gone.braze_id]
            for cohort in self.cohorts.values():
                cohort.members.discard(gone.braze_id)

    def find(self, kind: str, value: str) -> Profile | None:
        """Kinds: external_id, braze_id, device, email, phone, and alias by its key."""
        if kind not in SECONDARY:
            return self._found.get((kind, value))
        with self.lock:
            same = [each for each in self.profiles if getattr(each, kind) == value]
            # Of several the one with an external id, then the one updated last.
            return max(
                same,
                key=lambda each: (bool(each.external_id), each.updated),
                default=None,
            )

    def cohort_members(self, attribute: str, value: str) -> set[str]:
        """Names of the users whose array attribute holds the value."""
        with self.lock:
            return {
                profile.name
                for profile in self.profiles
                if value in (profile.attributes.get(attribute) or ())
            }

    def partner_cohort(self, cohort_id: str) -> set[str]:
        """Names of the members of a cohort of the partner import; empty if unknown."""
        with self.lock:
            cohort = self.cohorts.get(cohort_id, PartnerCohort(""))
            found = (self.find("braze_id", each) for each in cohort.members)
            return {profile.name for profile in found if profile}

    # users/track

    def apply(self, item: Mapping[str, Any]) -> None:
        """Carry out one accepted attributes object."""
        with self.lock:
            profile, identifying = self._profile(item)
            written = {
                key.strip(): value
                for key, value in item.items()
                if key not in _IDENTIFYING and key != identifying
            }
            # Counted even where nothing changes, as Braze bills it.
            self.data_points += sum(map(data_points, written.values()))
            if profile is None:
                self.unknown_users += 1
                return
            profile.updated = next(self._ticks)
            for attribute, operation in written.items():
                self._write(profile, attribute, operation)

    def _write(self, profile: Profile, attribute: str, operation: Any) -> None:
        if attribute in SECONDARY:
            setattr(profile, attribute, operation)
            return
        if attribute in self.blocked_attributes or len(attribute) > MAX_ATTRIBUTE_NAME:
            return
        before = profile.attributes.get(attribute)
        after = operate(before, operation, self.max_array)
        self.noop_writes += is_noop(before, after)
        if after is None:
            profile.attributes.pop(attribute, None)
        else:
            profile.attributes[attribute] = after

    def record(self, item: Mapping[str, Any], kind: str) -> None:
        """Count one accepted event or purchase object (`kind` is the array's name)."""
        with self.lock:
            profile, _ = self._profile(item)
            self.data_points += 1
            if profile is None:
                self.unknown_users += 1
            else:
                setattr(profile, kind, getattr(profile, kind) + 1)

    def _profile(self, item: Mapping[str, Any]) -> tuple[Profile | None, str]:
        """Whom an object means, made where that is not forbidden, and by which key."""
        alias = item.get("user_alias") or {}
        identifying = next(key for key in (*PRIMARY, *SECONDARY) if item.get(key))
        if identifying == "user_alias":
            value = alias_key(alias["alias_label"], alias["alias_name"])
            found = self.find("alias", value)
        else:
            found = self.find(identifying, item[identifying])
        # By default an alias makes no profile, while the other identifiers do.
        existing = item.get("_update_existing_only", identifying == "user_alias")
        if found or existing or identifying == "braze_id":
            return found, identifying
        if identifying == "user_alias":
            aliases = {alias["alias_label"]: alias["alias_name"]}
            return self.add_user(aliases=aliases), identifying
        return self.add_user(**{identifying: item[identifying]}), identifying

    # Partner cohort import

    def name_cohort(self, cohort_id: str, name: str) -> None:
        """Make or rename a cohort."""
        with self.lock:
            self.cohorts.setdefault(cohort_id, PartnerCohort(name)).name = name

    def change_cohort(self, cohort_id: str, change: Mapping[str, Any]) -> None:
        """Carry out one of `cohort_changes`; unknown users are dropped in silence."""
        with self.lock:
            cohort = self.cohorts.setdefault(cohort_id, PartnerCohort(cohort_id))
            leaves = bool(change.get("should_remove"))
            for profile in self._named(change):
                if profile is None:
                    self.unknown_users += 1
                    continue
                self.data_points += 1
                inside = profile.braze_id in cohort.members
                self.noop_writes += inside != leaves
                if leaves:
                    cohort.members.discard(profile.braze_id)
                else:
                    cohort.members.add(profile.braze_id)

    def _named(self, change: Mapping[str, Any]) -> Iterable[Profile | None]:
        for external_id in change.get("user_ids", ()):
            yield self.find("external_id", external_id)
        for alias in change.get("aliases", ()):
            key = alias_key(alias["alias_label"], alias["alias_name"])
            yield self.find("alias", key)
        for device in change.get("device_ids", ()):
            owner = self.find("device", device)
            # The device of an identified user matches nobody.
            yield owner if owner and not owner.external_id else None
