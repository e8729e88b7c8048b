"""Accept calls that speak Braze's cohort import instead of Mixpanel's webhook.

Each call is a complete diff: one page that adds and one that removes, either perhaps
empty. That protocol knows no sessions, so the id of the request stands for one.
"""

from collections import Counter
from collections.abc import Iterator

from bridge.braze.partner_cohorts.server import Changes, Naming
from bridge.cohorts.intake.accept import Accepted, Arrival, accept_page
from bridge.cohorts.messages import CohortKey
from bridge.cohorts.ports import Ledger, PageStore, Queue
from bridge.cohorts.rules.identifiers import Identifier, Kind, Matched, identify
from bridge.mixpanel.cohort_webhook import Action


def accept_naming(partner: str, call: Naming, *, ledger: Ledger) -> None:
    """Keep the name; raises `RetryableError` when that fails."""
    ledger.rename(CohortKey(project=partner, cohort=call.cohort_id), call.name)


def accept_changes(
    partner: str,
    call: Changes,
    request_id: str,
    now_ms: int,
    *,
    ledger: Ledger,
    pages: PageStore,
    queue: Queue,
) -> list[Accepted]:
    """Take one call; raises as `accept`. A call that names nobody changes nothing."""
    key = CohortKey(project=partner, cohort=call.cohort_id)
    # Who stands twice in one call is what is said last.
    members: dict[Identifier, bool] = {}
    skipped = {action: Counter[str]() for action in (Action.ADD, Action.REMOVE)}
    for present, found in _identified(call):
        if isinstance(found, Identifier):
            members[found] = present
        else:
            skipped[Action.ADD if present else Action.REMOVE][found] += 1
    if not members and not any(skipped.values()):
        return []
    accepted = []
    for action, reasons in skipped.items():
        matched = [
            Matched(member.key, member)
            for member, present in members.items()
            if present == action.present
        ]
        arrival = Arrival(key, "", request_id, action, 1, 1, matched, reasons)
        accepted.append(
            accept_page(arrival, now_ms, ledger=ledger, pages=pages, queue=queue)
        )
    return accepted


def _identified(call: Changes) -> Iterator[tuple[bool, Identifier | str]]:
    for change in call.changes:
        told = [
            *((Kind.EXTERNAL_ID, user_id, "") for user_id in change.user_ids),
            *((Kind.DEVICE, device_id, "") for device_id in change.device_ids),
            *((Kind.ALIAS, name, label) for name, label in change.aliases),
        ]
        for kind, value, label in told:
            found = identify(kind, value, label)
            yield change.present, found or "no_identifier"
