"""The route open to every Braze customer: membership in a custom attribute.

Either one array attribute holds the cohorts a user is in, or each cohort has a boolean
attribute of its own. A device is no identifier of users/track: it is looked up, added
by `braze_id` if its profile is anonymous, and removed wherever membership is by now.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import ClassVar, NamedTuple, assert_never, override

from bridge.braze.client import BrazeClient
from bridge.braze.users_track import (
    OBJECTS_PER_CALL,
    TrackReply,
    array_operation,
    attributes_object,
)
from bridge.cohorts.ports.route import Change, Conclude, Pushed, Route
from bridge.cohorts.routes.devices import Devices, Profile, holders
from bridge.cohorts.routes.fingerprint import fingerprint
from bridge.cohorts.routes.halving import CallSize, Reasons, send_in_calls
from bridge.cohorts.rules.identifiers import Identifier, Kind
from bridge.errors import CredentialsRejected, Rejected, RetryableError
from bridge.parallel import run_all
from bridge.reasons import Reason
from bridge.settings import RESERVED_ATTRIBUTES, CohortForm, CohortValue

MAX_VALUE_LENGTH = 255

type Object = dict[str, object]


class Write(NamedTuple):
    """An attributes object, the part of it that identifies a user, and its change."""

    position: int
    user: Object
    written: Object


type Users = Sequence[Object] | str
"""The identifying part of each attributes object, or the reason for none."""


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

    step: ClassVar = 14 * OBJECTS_PER_CALL

    @override
    def destination(self) -> str:
        written = (self.attribute, self.form, self.value)
        return fingerprint(self.braze, self.workspace, "attribute", *written)

    @override
    def name(self, cohort: str, name: str) -> None:
        """Do nothing: no object in Braze bears the cohort's name on this route."""

    @override
    def push(
        self, cohort: str, name: str, changes: Sequence[Change], conclude: Conclude
    ) -> None:
        attribute = self._attribute(cohort)
        if attribute in RESERVED_ATTRIBUTES:
            rejected = Pushed(Reason.RESERVED_ATTRIBUTE)
            conclude(dict.fromkeys(range(len(changes)), rejected))
            return
        targets, failed = self._targets(changes)
        unwritten = {
            position: Pushed(users if isinstance(users, str) else None)
            for position, users in targets.items()
            if isinstance(users, str) or not users
        }
        if unwritten:
            conclude(unwritten)
        objects = [
            Write(
                position,
                user,
                attributes_object(
                    user,
                    attribute,
                    self._written(cohort, name, changes[position].present),
                ),
            )
            for position, users in targets.items()
            if not isinstance(users, str)
            for user in users
        ]
        ended = _Ended(changes, objects, conclude)

        def send(batch: Sequence[Write]) -> TrackReply:
            return self.braze.track([write.written for write in batch])

        for once in _each_user_once(objects):
            send_in_calls(once, self.size, send, ended.sent)
        if failed:
            raise failed

    def _targets(
        self, changes: Sequence[Change]
    ) -> tuple[Mapping[int, Users], RetryableError | None]:
        """Whom each change is written to, and why not all of them could be found.

        Look-ups of devices can outlast an invocation; what was found is pushed, so that
        the next one comes further.
        """
        found: dict[int, Users] = {}
        devices: list[tuple[int, Change]] = []
        for position, change in enumerate(changes):
            if change.identifier.kind is Kind.DEVICE:
                devices.append((position, change))
            else:
                found[position] = [_identified(change.identifier)]

        def look_up(position: int, change: Change) -> None:
            try:
                found[position] = self._device_users(change)
            except Rejected as error:
                found[position] = error.reason

        try:
            run_all([partial(look_up, *each) for each in devices])
        except CredentialsRejected:
            raise
        except RetryableError as error:
            if not found:
                raise
            return found, error
        return found, None

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

    def _device_users(self, change: Change) -> Users:
        if change.present:
            device = change.identifier.value
            braze_id, reason = self.devices.find(self.braze, device, self.since)
            return [{"braze_id": braze_id}] if braze_id else reason
        return [_identifying(profile) for profile in holders(self.braze, change)]


def _identified(identifier: Identifier) -> Object:
    """The identifying part of an attributes object, for all but devices."""
    match identifier.kind:
        case Kind.EXTERNAL_ID:
            return {"external_id": identifier.value}
        case Kind.ALIAS:
            return {
                "user_alias": {
                    "alias_name": identifier.value,
                    "alias_label": identifier.label,
                }
            }
        case Kind.EMAIL:
            return {"email": identifier.value}
        case Kind.PHONE:
            return {"phone": identifier.value}
        case Kind.DEVICE:
            raise AssertionError("users/track knows no devices")
        case _:
            assert_never(identifier.kind)


class _Ended:
    """Concludes each change when the last of its objects has been sent."""

    def __init__(
        self, changes: Sequence[Change], writes: Sequence[Write], conclude: Conclude
    ) -> None:
        self._changes = changes
        self._conclude = conclude
        self._waiting = Counter(write.position for write in writes)
        self._reasons: dict[int, str] = {}
        self._lock = Lock()

    def sent(self, batch: Sequence[Write], reasons: Reasons) -> None:
        """Take what became of the objects of a call; it comes from any thread."""
        ended: dict[int, Pushed] = {}
        with self._lock:
            for write, reason in zip(batch, reasons, strict=True):
                at = write.position
                self._waiting[at] -= 1
                if reason:
                    self._reasons[at] = reason
                if not self._waiting[at]:
                    ended[at] = self._pushed(write)
        if ended:
            self._conclude(ended)

    def _pushed(self, write: Write) -> Pushed:
        reason = self._reasons.get(write.position)
        if reason or not self._changes[write.position].present:
            return Pushed(reason)
        return Pushed(None, str(write.user.get("braze_id", "")))


def _each_user_once(writes: Sequence[Write]) -> Sequence[Sequence[Write]]:
    """The objects in rounds that hold a user once: two devices may be of one profile.

    Braze promises no order between two calls that are under way together.
    """
    rounds: list[list[Write]] = []
    seen: Counter[object] = Counter()
    for write in writes:
        user = write.user.get("braze_id") or write.user.get("external_id")
        user = user or write.position
        if seen[user] == len(rounds):
            rounds.append([])
        rounds[seen[user]].append(write)
        seen[user] += 1
    return rounds


def _identifying(profile: Profile) -> Object:
    external_id = profile.get("external_id")
    if external_id:
        return {"external_id": external_id}
    return {"braze_id": profile.get("braze_id")}
