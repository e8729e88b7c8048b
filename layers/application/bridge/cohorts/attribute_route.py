"""The route open to every Braze customer: membership in an array attribute.

A device is no identifier of users/track: it is looked up, and written by `braze_id` if
its profile is anonymous. A device of an identified user is left alone, as Braze's own
cohort import does (requirement R6).
"""

from collections.abc import Sequence

from bridge.braze.client import BrazeClient
from bridge.braze.track import OBJECTS_PER_CALL, membership
from bridge.chunking import by_count, halves
from bridge.cohorts.identity import Identifier, Kind
from bridge.errors import Rejected
from bridge.settings import CohortValue

MAX_VALUE_LENGTH = 255

type Object = dict[str, object]


class AttributeRoute:
    """Implements `ports.Route` over users/track."""

    def __init__(self, braze: BrazeClient, attribute: str, value: CohortValue) -> None:
        self._braze = braze
        self._attribute = attribute
        self._value = value

    def destination(self) -> str:
        """See `ports.Route.destination`."""
        return f"{self._attribute} {self._value}"

    def name(self, cohort: str, name: str) -> None:
        """The attribute shows ids, or names as they come with a push."""

    def push(
        self, cohort: str, name: str, changes: Sequence[tuple[Identifier, bool]]
    ) -> Sequence[str | None]:
        """Write each change once, in calls of 75."""
        value = self._cohort_value(cohort, name)
        results: list[str | None] = [None] * len(changes)
        objects: list[tuple[int, Object]] = []
        for position, (identifier, present) in enumerate(changes):
            user = self._user(identifier)
            if isinstance(user, str):
                results[position] = user
            else:
                written = membership(user, self._attribute, value, present)
                objects.append((position, written))
        for chunk in by_count(objects, OBJECTS_PER_CALL):
            self._send(chunk, results)
        return results

    def _cohort_value(self, cohort: str, name: str) -> str:
        if self._value is CohortValue.NAME and name.strip():
            return name.strip()[:MAX_VALUE_LENGTH]
        # Digits alone might be taken for a number or a date; the letters prevent it.
        return f"mixpanel_{cohort}"

    def _user(self, identifier: Identifier) -> Object | str:
        """The identifying part of an attributes object, or why there is none."""
        match identifier.kind:
            case Kind.EXTERNAL_ID:
                return {"external_id": identifier.value}
            case Kind.ALIAS:
                alias = {
                    "alias_name": identifier.value,
                    "alias_label": identifier.label,
                }
                return {"user_alias": alias}
            case Kind.DEVICE:
                return self._device(identifier.value)

    def _device(self, device_id: str) -> Object | str:
        found = self._braze.find_device(device_id)
        if not found:
            return "device_unknown"
        if any(user.get("external_id") for user in found):
            return "device_identified"
        return {"braze_id": found[0].get("braze_id")}

    def _send(
        self, chunk: Sequence[tuple[int, Object]], results: list[str | None]
    ) -> None:
        """One call; halved where Braze refuses without naming the culprit."""
        if not chunk:
            return
        try:
            reply = self._braze.track([written for _, written in chunk])
        except Rejected as error:
            if len(chunk) == 1:
                results[chunk[0][0]] = error.reason
                return
            for half in halves(chunk):
                self._send(half, results)
            return
        if reply.vague and len(chunk) > 1:
            for half in halves(chunk):
                self._send(half, results)
            return
        if reply.vague:
            results[chunk[0][0]] = "braze_refused"
        for index, reason in reply.refused.items():
            results[chunk[index][0]] = reason
