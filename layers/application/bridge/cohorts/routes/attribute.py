"""The route open to every Braze customer: membership in a custom attribute.

Either one array attribute holds the cohorts a user is in, or each cohort has a boolean
attribute of its own. A device is no identifier of users/track: it is looked up, added
by `braze_id` if its profile is anonymous, and removed wherever membership is by now.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, assert_never, override

from bridge.braze.client import BrazeClient
from bridge.braze.users_track import (
    OBJECTS_PER_CALL,
    array_operation,
    attributes_object,
)
from bridge.cohorts.ports.route import Change, Pushed, PushInterrupted, Route
from bridge.cohorts.routes.devices import Devices, Profile, holders
from bridge.cohorts.routes.fingerprint import fingerprint
from bridge.cohorts.routes.halving import CallSize, Reasons, send_in_calls
from bridge.cohorts.rules.identifiers import Kind
from bridge.errors import CredentialsRejected, Rejected, RetryableError
from bridge.reasons import Reason
from bridge.settings import RESERVED_ATTRIBUTES, CohortForm, CohortValue

MAX_VALUE_LENGTH = 255

type Object = dict[str, object]


@dataclass(frozen=True, slots=True)
class AttributeRoute(Route):
    """Membership over users/track.

    `attribute` is the array, or the prefix of the booleans' names; `value` is what
    stands for a cohort in the array. `size` and `devices` are what the process learnt;
    look-ups of devices from before `since`, in epoch seconds, do not count.
    """

    braze: BrazeClient
    devices: Devices
    attribute: str
    form: CohortForm = CohortForm.ARRAY
    value: CohortValue = CohortValue.ID
    workspace: str = ""
    since: float = 0.0
    size: CallSize = field(default_factory=lambda: CallSize(OBJECTS_PER_CALL))

    step: ClassVar = 4 * OBJECTS_PER_CALL

    @override
    def destination(self) -> str:
        written = (self.attribute, self.form, self.value)
        return fingerprint(self.braze, self.workspace, "attribute", *written)

    @override
    def name(self, cohort: str, name: str) -> None:
        """Do nothing: no object in Braze bears the cohort's name on this route."""

    @override
    def push(
        self, cohort: str, name: str, changes: Sequence[Change]
    ) -> Sequence[Pushed]:
        reasons: Reasons = [None] * len(changes)
        attribute = self._attribute(cohort)
        if attribute in RESERVED_ATTRIBUTES:
            return [Pushed(Reason.RESERVED_ATTRIBUTE)] * len(changes)
        written_by = [""] * len(changes)
        objects: list[tuple[int, Object]] = []
        cause: RetryableError | None = None
        begun = len(changes)
        for position, change in enumerate(changes):
            try:
                users = self._users(change)
            except RetryableError as error:
                if not position or isinstance(error, CredentialsRejected):
                    raise
                cause, begun = error, position
                break
            if isinstance(users, str):
                reasons[position] = users
                continue
            value = self._written(cohort, name, change.present)
            for user in users:
                objects.append((position, attributes_object(user, attribute, value)))
                if change.present:
                    written_by[position] = str(user.get("braze_id", ""))
        send_in_calls(objects, self.size, self.braze.track, reasons)
        pushed = [
            Pushed(reason, "" if reason else braze_id)
            for reason, braze_id in zip(reasons, written_by, strict=True)
        ]
        if cause:
            raise PushInterrupted(cause, pushed[:begun])
        return pushed

    def _attribute(self, cohort: str) -> str:
        if self.form is CohortForm.BOOLEAN:
            return f"{self.attribute}_{cohort}".strip()
        return self.attribute

    def _written(self, cohort: str, name: str, present: bool) -> object:
        if self.form is CohortForm.BOOLEAN:
            return present
        if self.value is CohortValue.NAME and name.strip():
            return array_operation(name.strip()[:MAX_VALUE_LENGTH].strip(), present)
        # Braze might take digits alone for a number or a date; letters prevent that.
        return array_operation(f"mixpanel_{cohort}", present)

    def _users(self, change: Change) -> Sequence[Object] | str:
        """The identifying part of each attributes object, or the reason for none."""
        identifier = change.identifier
        match identifier.kind:
            case Kind.EXTERNAL_ID:
                return [{"external_id": identifier.value}]
            case Kind.ALIAS:
                alias = {
                    "alias_name": identifier.value,
                    "alias_label": identifier.label,
                }
                return [{"user_alias": alias}]
            case Kind.EMAIL:
                return [{"email": identifier.value}]
            case Kind.PHONE:
                return [{"phone": identifier.value}]
            case Kind.DEVICE:
                try:
                    return self._device_users(change)
                except Rejected as error:
                    return error.reason
            case _:
                assert_never(identifier.kind)

    def _device_users(self, change: Change) -> Sequence[Object] | str:
        if change.present:
            device = change.identifier.value
            braze_id, reason = self.devices.find(self.braze, device, self.since)
            return [{"braze_id": braze_id}] if braze_id else reason
        return [_identifying(profile) for profile in holders(self.braze, change)]


def _identifying(profile: Profile) -> Object:
    external_id = profile.get("external_id")
    if external_id:
        return {"external_id": external_id}
    return {"braze_id": profile.get("braze_id")}
