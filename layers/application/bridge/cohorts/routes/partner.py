"""The route of Braze's partners: membership in a cohort of Braze's own.

Fills the segment filter "Mixpanel Cohorts". Braze itself matches a device to an
anonymous user only and creates nobody; whom it does not know it drops without a word.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from bridge.braze.client import PartnerClient
from bridge.braze.partner_cohorts.requests import change
from bridge.braze.partner_cohorts.server import IDS_PER_CALL
from bridge.chunking import by_count, halves
from bridge.cohorts.routes.fingerprint import fingerprint
from bridge.cohorts.rules.identifiers import Identifier, Kind
from bridge.errors import Rejected

type Change = tuple[Identifier, bool]


@dataclass(frozen=True, slots=True)
class PartnerRoute:
    """Implements `ports.Route` over the cohort import; `now` dates a new name."""

    braze: PartnerClient
    now: datetime
    workspace: str = ""

    step: ClassVar = IDS_PER_CALL

    def destination(self) -> str:
        """See `ports.Route.destination`."""
        return fingerprint(self.braze, self.workspace, "partner", self.braze.name)

    def name(self, cohort: str, name: str) -> None:
        """See `ports.Route.name`; raises `Rejected` where Braze takes no such name."""
        self.braze.name_cohort(cohort, name, self.now)

    def push(
        self,
        cohort: str,
        name: str,  # noqa: ARG002 - the port's; Braze was told by `name`
        changes: Sequence[Change],
    ) -> Sequence[str | None]:
        """Write each change once, joiners and leavers together in calls of 1,000."""
        results: list[str | None] = [None] * len(changes)
        for chunk in by_count([*enumerate(changes)], IDS_PER_CALL):
            self._send(cohort, chunk, results)
        return results

    def _send(
        self,
        cohort: str,
        chunk: Sequence[tuple[int, Change]],
        results: list[str | None],
    ) -> None:
        """One call; halved until the one alone is found whom Braze refuses."""
        if not chunk:
            return
        told = [
            _told([each for _, each in chunk], present) for present in (True, False)
        ]
        try:
            self.braze.change(cohort, [each for each in told if each])
        except Rejected as error:
            if len(chunk) == 1:
                results[chunk[0][0]] = error.reason
                return
            for half in halves(chunk):
                self._send(cohort, half, results)


def _told(changes: Sequence[Change], present: bool) -> dict[str, object]:
    of = {
        kind: [i for i, p in changes if (i.kind, p) == (kind, present)] for kind in Kind
    }
    return change(
        [user.value for user in of[Kind.EXTERNAL_ID]],
        [device.value for device in of[Kind.DEVICE]],
        [
            {"alias_name": alias.value, "alias_label": alias.label}
            for alias in of[Kind.ALIAS]
        ],
        present=present,
    )
