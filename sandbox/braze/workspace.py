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

MAX_EXTERNAL_ID_BYTES = 987
MAX_ALIAS_BYTES = 236
MAX_ARRAY = 500
PRIMARY = ("external_id", "user_alias", "braze_id")
SECONDARY = ("email", "phone")
_IDENTIFYING = {*PRIMARY, *SECONDARY, "_update_existing_only"}


@dataclass(slots=True, eq=False)
class Profile:
    """One user; anonymous as long as there is no `external_id`."""

    braze_id: str
    external_id: str | None = None
    aliases: dict[str, str] = field(default_factory=dict)
    devices: set[str] = field(default_factory=set)
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What a test calls the user: the external id, else the Braze id."""
        return self.external_id or self.braze_id


@dataclass(slots=True)
class PartnerCohort:
    """A cohort of the partner import, by the users it applied to."""

    name: str
    members: set[str] = field(default_factory=set)


class Workspace:
    """Profiles found by external id, alias, Braze id or device."""

    def __init__(self, max_array: int = MAX_ARRAY) -> None:
        self.profiles: list[Profile] = []
        self.cohorts: dict[str, PartnerCohort] = {}
        self.data_points = 0
        self.noop_writes = 0
        self.calls: Counter[str] = Counter()
        self.blocked: set[str] = set()
        self.lock = threading.RLock()
        self._max_array = max_array
        self._numbers = itertools.count(1)
        self._found: dict[tuple[str, str], Profile] = {}

    def add_user(
        self,
        external_id: str | None = None,
        aliases: Mapping[str, str] | None = None,
        devices: Iterable[str] = (),
    ) -> Profile:
        """Make a user; aliases are label → name."""
        with self.lock:
            braze_id = f"{next(self._numbers):024x}"
            profile = Profile(braze_id, external_id, dict(aliases or {}), set(devices))
            self.profiles.append(profile)
            self._found["braze_id", braze_id] = profile
            if external_id is not None:
                self._found["external_id", external_id] = profile
            for label, name in profile.aliases.items():
                self._found["alias", f"{label}\0{name}"] = profile
            for device in profile.devices:
                self._found["device", device] = profile
            return profile

    def find(self, kind: str, value: str) -> Profile | None:
        """Kinds: external_id, braze_id, device, and alias as `label NUL name`."""
        return self._found.get((kind, value))

    def cohort_members(self, attribute: str, value: str) -> set[str]:
        """Names of the users whose array attribute holds the value."""
        with self.lock:
            return {
                profile.name
                for profile in self.profiles
                if value in (profile.attributes.get(attribute) or ())
            }

    # users/track

    def verdict(self, item: object) -> str | None:
        """Why an attributes object is refused; None where it is taken."""
        if not isinstance(item, dict):
            return "INVALID_OBJECT"
        primary = [key for key in PRIMARY if item.get(key)]
        if not primary and not any(item.get(key) for key in SECONDARY):
            return "'external_id', 'braze_id', 'user_alias', 'email' or 'phone' missing"
        if len(primary) > 1:
            return "only one of 'external_id', 'braze_id', 'user_alias' is allowed"
        return self._verdict_on_primary(item)

    def _verdict_on_primary(self, item: dict[str, Any]) -> str | None:
        external_id = item.get("external_id")
        if external_id is not None:
            if not isinstance(external_id, str):
                return "'external_id' must be a string"
            if len(external_id.encode()) > MAX_EXTERNAL_ID_BYTES:
                return "EXTERNAL_USER_ID_TOO_LARGE"
            if external_id in self.blocked:
                return "BLACKLISTED_EXTERNAL_USER_ID"
        alias = item.get("user_alias")
        if alias is not None:
            parts = [
                alias.get(key) if isinstance(alias, dict) else None
                for key in ("alias_name", "alias_label")
            ]
            for part in parts:
                if not isinstance(part, str) or not part:
                    return "'user_alias' needs alias_name and alias_label"
                if len(part.encode()) > MAX_ALIAS_BYTES:
                    return "'user_alias' is too long"
        return None

    def apply(self, item: Mapping[str, Any]) -> None:
        """Carry out one accepted attributes object."""
        with self.lock:
            profile = self._profile(item)
            written = {k: v for k, v in item.items() if k not in _IDENTIFYING}
            # Counted even where nothing changes, as Braze bills it.
            self.data_points += len(written)
            if profile is None:
                return
            for attribute, operation in written.items():
                before = profile.attributes.get(attribute)
                after = self._operate(before, operation)
                self.noop_writes += _same(before, after)
                if after is None:
                    profile.attributes.pop(attribute, None)
                else:
                    profile.attributes[attribute] = after

    def _profile(self, item: Mapping[str, Any]) -> Profile | None:
        alias = item.get("user_alias") or {}
        if item.get("external_id"):
            kind, value, existing = "external_id", item["external_id"], False
        elif alias:
            value = f"{alias['alias_label']}\0{alias['alias_name']}"
            kind, existing = "alias", True
        else:
            kind, value, existing = "braze_id", item.get("braze_id", ""), True
        found = self.find(kind, value)
        if found or item.get("_update_existing_only", existing):
            return found
        if kind == "external_id":
            return self.add_user(external_id=value)
        if kind == "alias":
            return self.add_user(aliases={alias["alias_label"]: alias["alias_name"]})
        return None

    def _operate(self, before: Any, operation: Any) -> Any:
        """The value of an attribute after a set, an add, a remove or an inc."""
        if isinstance(operation, list):
            return list(dict.fromkeys(operation))[-self._max_array :]
        if not isinstance(operation, dict):
            return operation
        values = list(before) if isinstance(before, list) else []
        if "inc" in operation:
            return (before if isinstance(before, int) else 0) + operation["inc"]
        for value in operation.get("add", ()):
            # What is there moves to the end; that is no change of membership.
            if value not in values:
                values.append(value)
            elif values[-1] != value:
                values.remove(value)
                values.append(value)
        values = values[-self._max_array :]
        removed = set(operation.get("remove", ()))
        values = [value for value in values if value not in removed]
        return values or (before if before is None else [])

    # Partner cohort import

    def name_cohort(self, cohort_id: str, name: str) -> None:
        """Make or rename a cohort."""
        with self.lock:
            self.cohorts.setdefault(cohort_id, PartnerCohort(name)).name = name

    def change_cohort(self, cohort_id: str, change: Mapping[str, Any]) -> None:
        """Carry out one of `cohort_changes`; unknown users are dropped in silence."""
        with self.lock:
            cohort = self.cohorts.setdefault(cohort_id, PartnerCohort(cohort_id))
            for profile in self._named(change):
                self.data_points += 1
                inside = profile.name in cohort.members
                leaves = bool(change.get("should_remove"))
                self.noop_writes += inside != leaves
                if leaves:
                    cohort.members.discard(profile.name)
                else:
                    cohort.members.add(profile.name)

    def _named(self, change: Mapping[str, Any]) -> Iterable[Profile]:
        found = [self.find("external_id", each) for each in change.get("user_ids", ())]
        for alias in change.get("aliases", ()):
            key = f"{alias['alias_label']}\0{alias['alias_name']}"
            found.append(self.find("alias", key))
        for device in change.get("device_ids", ()):
            owner = self.find("device", device)
            # The device of an identified user matches nobody.
            found.append(owner if owner and not owner.external_id else None)
        return [profile for profile in found if profile]


def _same(before: Any, after: Any) -> bool:
    """Whether a write changed nothing; the order within an array is nobody's matter."""
    if isinstance(before, list) and isinstance(after, list):
        return set(before) == set(after)
    return bool((before or None) == (after or None))
