"""Mixpanel's webhook: one call is one page of a cohort sync."""

from collections import Counter

from bridge.cohorts.intake.accept import Accepted, Arrival, accept_page
from bridge.cohorts.messages import CohortKey
from bridge.cohorts.ports import Ledger, PageStore, Queue
from bridge.cohorts.rules.identifiers import Matched, Source, match_member
from bridge.mixpanel.cohort_webhook import Postback


def accept(
    postback: Postback,
    now_ms: int,
    *,
    sources: tuple[Source, ...],
    ledger: Ledger,
    pages: PageStore,
    queue: Queue,
) -> Accepted:
    """Take one page; `now_ms` is its arrival at the API in milliseconds.

    Raises `RetryableError` when the page is not yet safe: the sender has to come again.
    """
    parameters = postback.parameters
    info = parameters.page_info
    resolved = [match_member(member, sources) for member in postback.members]
    arrival = Arrival(
        CohortKey(
            project=parameters.mixpanel_project_id, cohort=parameters.mixpanel_cohort_id
        ),
        parameters.mixpanel_cohort_name,
        parameters.mixpanel_session_id,
        postback.action,
        info.page_count if info else None,
        info.total_pages if info else None,
        [found for found in resolved if isinstance(found, Matched)],
        Counter(r.reason for r in resolved if not isinstance(r, Matched)),
    )
    return accept_page(arrival, now_ms, ledger=ledger, pages=pages, queue=queue)
