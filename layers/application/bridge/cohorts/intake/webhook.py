"""Mixpanel's webhook: one call is one page of a cohort sync."""

from collections import Counter
from collections.abc import Iterable

from bridge.authentication import (
    admits,
    basic_knows,
    basic_matches,
    basic_username,
    count_refusal,
    shows_basic,
)
from bridge.aws.http_api import Answer
from bridge.braze.partner_cohorts.server import without_keys
from bridge.cohorts.intake.accept import Accepted, Arrival, accept_page
from bridge.cohorts.intake.call import Call, report
from bridge.cohorts.messages import CohortKey
from bridge.cohorts.pages import Listed
from bridge.cohorts.ports.page_log import PageLog
from bridge.cohorts.ports.page_store import PageStore
from bridge.cohorts.ports.queue import Queue
from bridge.cohorts.rules.identifiers import Matched, Skipped, Source, match_member
from bridge.digest import digest
from bridge.errors import MalformedInput
from bridge.mixpanel.cohort_webhook import Postback, action_of, failure, parse, success

SENDER_LENGTH = 12
"""Hexadecimal digits that tell a handful of connections apart."""


def answer_webhook(call: Call, sources: tuple[Source, ...]) -> Answer:
    """Authenticate, validate and accept one call; raises as `accept`."""
    request = call.request
    header = request.authorization
    if not admits(
        call.secret,
        lambda known: basic_matches(header, known.credentials),
        shown=header or "",
        presented=shows_basic(header),
    ):
        count_refusal(
            call.secret,
            lambda known: basic_knows(header, known.credentials),
            presented=shows_basic(header),
        )
        wrong = "the user name or the password is wrong"
        return Answer(401, failure(None, 401, wrong))
    body = b""
    try:
        body = request.body()
        postback = parse(body)
    except MalformedInput as error:
        # It may be a stray call of the cohort import, whose body holds keys.
        call.quarantine_body(without_keys(request.original(), None), error)
        return Answer(400, failure(action_of(body), 400, str(error)))
    accepted = accept(
        postback,
        request.arrived_ms,
        sender=sender_of(basic_username(header)),
        sources=sources,
        ledger=call.ledger,
        pages=call.pages,
        queue=call.queue,
    )
    report(accepted)
    return Answer(200, success(postback.action))


def sender_of(username: str) -> str:
    """What stands for a connection: its user name may be as secret as a password."""
    return digest(username)[:SENDER_LENGTH]


def accept(
    postback: Postback,
    now_ms: int,
    *,
    sender: str = "",
    sources: tuple[Source, ...],
    ledger: PageLog,
    pages: PageStore,
    queue: Queue,
) -> Accepted:
    """Accept one page; `now_ms` is its arrival at the API, in epoch milliseconds.

    A session id is that of its `sender`: two connections never share a session.
    Raises `RetryableError` when the page is not safe yet: the sender has to send it
    again.
    """
    parameters = postback.parameters
    info = parameters.page_info
    resolved = [match_member(member, sources) for member in postback.members]
    listed, skipped = _listed(resolved)
    arrival = Arrival(
        CohortKey(
            project=parameters.mixpanel_project_id, cohort=parameters.mixpanel_cohort_id
        ),
        parameters.mixpanel_cohort_name,
        f"{sender}{parameters.mixpanel_session_id}",
        postback.action,
        info.page_count if info else None,
        info.total_pages if info else None,
        listed,
        skipped,
        sender=sender,
    )
    return accept_page(arrival, now_ms, ledger=ledger, pages=pages, queue=queue)


def _listed(
    resolved: Iterable[Matched | Skipped],
) -> tuple[list[Listed], Counter[str]]:
    """The profiles to store, and the members that name none, by reason.

    A profile without an identifier is stored too: it may stand in the ledger under the
    identifier that it had before.
    """
    listed: list[Listed] = []
    skipped: Counter[str] = Counter()
    for found in resolved:
        if isinstance(found, Matched):
            listed.append(Listed(found.distinct_id, found.identifier, found.entry))
        elif found.distinct_id:
            listed.append(Listed(found.distinct_id, None, reason=found.reason))
        else:
            skipped[found.reason] += 1
    return listed, skipped
