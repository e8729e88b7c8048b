"""The route of Braze's partners: membership in a cohort of Braze's own.

Fills the segment filter "Mixpanel Cohorts". Braze itself matches a device to an
anonymous user only, creates nobody, and silently drops users it does not know.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, assert_never, override

from bridge.braze.client import PartnerClient
from bridge.braze.partner_cohorts import IDS_PER_CALL
from bridge.braze.partner_cohorts.requests import change
from bridge.braze.users_track import TrackReply
from bridge.cohorts.ports.route import Change, Conclude, Pushed, Route
from bridge.cohorts.routes.fingerprint import fingerprint
from bridge.cohorts.routes.halving import CallSize, Reasons, send_in_calls
from bridge.cohorts.rules.identifiers import ATTRIBUTE_ROUTE_ONLY, Kind
from bridge.reasons import Reason


@dataclass(frozen=True, slots=True)
class PartnerRoute(Route):
    """Membership over the cohort import; `now` dates a new name.

    `size` is what the process learnt of Braze's limit.
    """

    braze: PartnerClient
    now: datetime
    workspace: str = ""
    size: CallSize = field(default_factory=lambda: CallSize(IDS_PER_CALL))

    step: ClassVar = IDS_PER_CALL

    @override
    def destination(self) -> str:
        return fingerprint(self.braze, self.workspace, "partner", self.braze.name)

    @override
    def name(self, cohort: str, name: str) -> None:
        self.braze.name_cohort(cohort, name, self.now)

    @override
    def push(
        self, cohort: str, name: str, changes: Sequence[Change], conclude: Conclude
    ) -> None:
        # Joiners and leavers go together.
        def send(batch: Sequence[tuple[int, Change]]) -> TrackReply:
            asked = [change for _, change in batch]
            both = (_cohort_change(asked, present) for present in (True, False))
            self.braze.change(cohort, [each for each in both if each])
            return TrackReply({})

        def sent(batch: Sequence[tuple[int, Change]], reasons: Reasons) -> None:
            positions = (position for position, _ in batch)
            conclude(dict(zip(positions, map(Pushed, reasons), strict=True)))

        sendable: list[tuple[int, Change]] = []
        rejected: dict[int, Pushed] = {}
        for position, each in enumerate(changes):
            if each.identifier.kind in ATTRIBUTE_ROUTE_ONLY:
                rejected[position] = Pushed(Reason.ATTRIBUTE_ROUTE_ONLY)
            else:
                sendable.append((position, each))
        if rejected:
            conclude(rejected)
        send_in_calls(sendable, self.size, send, sent)


def _cohort_change(changes: Sequence[Change], present: bool) -> dict[str, object]:
    """The changes of one direction, each kind of identifier under its own key."""
    user_ids: list[str] = []
    device_ids: list[str] = []
    aliases: list[dict[str, str]] = []
    for identifier, joins, *_ in changes:
        if joins != present:
            continue
        match identifier.kind:
            case Kind.EXTERNAL_ID:
                user_ids.append(identifier.value)
            case Kind.DEVICE:
                device_ids.append(identifier.value)
            case Kind.ALIAS:
                aliases.append(
                    {"alias_name": identifier.value, "alias_label": identifier.label}
                )
            case Kind.EMAIL | Kind.PHONE:
                continue  # they have their reason already
            case _:
                assert_never(identifier.kind)
    return change(user_ids, device_ids, aliases, present=present)
