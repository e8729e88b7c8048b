"""A Braze with profiles: visitors are found by their device, and log in.

The route is the real one, and so are its look-ups; only HTTP is left out. Membership is
an attribute of a profile, so it goes along when a visitor becomes a user.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

from bridge.braze.client import IDENTIFIER_FIELDS
from bridge.braze.users_track import TrackReply
from bridge.cohorts.apply.context import Context
from bridge.cohorts.routes.attribute import AttributeRoute
from bridge.cohorts.routes.devices import Devices
from sandbox.braze.export import export
from sandbox.braze.workspace import Profile, Workspace
from tests.model.world import KEY, World

ATTRIBUTE, VALUE = "mixpanel_cohorts", f"mixpanel_{KEY.cohort}"
DEVICE = "$device:"


class ProfiledBraze:
    """What the attribute route uses of Braze's client, over a workspace.

    `writes` are the profiles written to, by Braze id, and what was written; `noops`
    those of them that changed nothing. `before` and `after` may raise.
    """

    endpoint = "here"

    def __init__(self) -> None:
        self.workspace = Workspace()
        self.writes: list[tuple[str, bool]] = []
        self.noops: list[tuple[str, bool]] = []
        self.calls: list[list[tuple[str, bool]]] = []
        self.before: Callable[[], None] = lambda: None
        self.after: Callable[[], None] = lambda: None

    def account(self) -> str:
        return "key"

    def holds(self, profile: Profile) -> bool:
        return VALUE in profile.attributes.get(ATTRIBUTE, ())

    @property
    def holders(self) -> set[str]:
        """The Braze ids of the cohort's members."""
        return {each.braze_id for each in self.workspace.profiles if self.holds(each)}

    @property
    def members(self) -> set[str]:
        """The members by their names."""
        return self.workspace.cohort_members(ATTRIBUTE, VALUE)

    def track(self, attributes: Sequence[Mapping[str, Any]]) -> TrackReply:
        self.before()
        for item in attributes:
            profile, _ = self.workspace._profile(item)
            assert profile, f"nobody is written to: {item}"
            write = profile.braze_id, "add" in item[ATTRIBUTE]
            before = self.workspace.noop_writes
            self.workspace.apply(item)
            self.writes.append(write)
            if self.workspace.noop_writes > before:
                self.noops.append(write)
        self.after()
        return TrackReply({})

    def find_device(self, device_id: str) -> Sequence[Mapping[str, object]]:
        return self._export({"device_id": device_id}, ("external_id", "braze_id"))

    def find_identifiers(self, key: str, value: str) -> Sequence[Mapping[str, object]]:
        return self._export({key: value}, IDENTIFIER_FIELDS)

    def _export(
        self, whom: Mapping[str, object], fields: Sequence[str]
    ) -> Sequence[Mapping[str, object]]:
        self.before()
        _, answer = export(self.workspace, {**whom, "fields_to_export": [*fields]})
        found: Sequence[Mapping[str, object]] = answer["users"]
        return found


class VisitorWorld(World):
    """A world whose Braze has profiles; what was looked up is cached over the syncs."""

    def __init__(self) -> None:
        super().__init__()
        self.profiled = ProfiledBraze()
        self.braze: Any = self.profiled
        self.devices = Devices(lambda: self.now / 1000)

    def context(self) -> Context:
        client: Any = self.profiled
        route = AttributeRoute(client, self.devices, ATTRIBUTE, since=self.now / 1000)
        return replace(super().context(), route=route)


def wrong(
    braze: ProfiledBraze,
    listed: Set[str],
    visitors: Mapping[str, str],
    carried: Mapping[str, Set[str]] | None = None,
) -> set[str]:
    """The names of profiles that are members and should not be, or the reverse.

    `listed` are the distinct ids in Mixpanel's cohort, `visitors` the Braze ids that
    those of devices meant first. A user is a member if listed, a visitor if the device
    is. A user whose device alone is listed is not added (requirement R6), but may have
    been a member as a visitor: `carried` says by which devices which profiles still
    are; where that is not known, either is right.
    """
    found = set()
    for profile in braze.workspace.profiles:
        devices = {f"{DEVICE}{each}" for each in profile.devices}
        devices |= {d for d, first in visitors.items() if first == profile.braze_id}
        expected = profile.external_id in listed
        if not expected and listed & devices:
            if profile.external_id and carried is None:
                continue
            by_device = listed & devices & (carried or {}).get(profile.braze_id, set())
            expected = not profile.external_id or bool(by_device)
        if braze.holds(profile) != expected:
            found.add(profile.name)
    return found


def needless(
    braze: ProfiledBraze, writes: Sequence[tuple[str, bool]], known: Set[str]
) -> list[tuple[str, bool]]:
    """The writes that led away from what the profile is now, or changed nothing.

    `known` are all distinct ids ever listed. Two of them may lead to one profile, which
    only a look-up for each user could tell: what is written by the second is excused.
    """
    by_id = {each.braze_id: each for each in braze.workspace.profiles}
    found = []
    for braze_id, present in writes:
        profile = by_id[braze_id]
        names = {profile.external_id, *(f"{DEVICE}{each}" for each in profile.devices)}
        repeated = writes.count((braze_id, present)) > 1
        changed_nothing = repeated or (braze_id, present) in braze.noops
        if braze.holds(profile) != present or (
            changed_nothing and len(names & known) < 2
        ):
            found.append((braze_id, present))
    return found
