"""Braze's cohort import for partners, offered as a second way to send cohorts.

Each call is a complete diff: one page that adds and one that removes, and either may be
empty. The protocol has no sessions, so the id of the request stands for one. Nothing is
inferred from the order of calls, because senders repeat changes, in other batches too:
each call is the last word on whom it names.
"""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from bridge.authentication import admits, count_refusal, key_matches
from bridge.aws.http_api import Answer
from bridge.braze.partner_cohorts import server
from bridge.braze.partner_cohorts.server import CohortChanges, Keys, Naming
from bridge.cohorts.intake.accept import Accepted, Arrival, accept_page
from bridge.cohorts.intake.call import Call, report
from bridge.cohorts.messages import CohortKey
from bridge.cohorts.pages import Listed
from bridge.cohorts.ports.page_log import PageLog
from bridge.cohorts.ports.page_store import PageStore
from bridge.cohorts.ports.queue import Queue
from bridge.cohorts.rules.identifiers import Identifier, Kind, identify
from bridge.credentials import Secret, WebhookCredentials
from bridge.errors import MalformedInput
from bridge.mixpanel.cohort_webhook import Action
from bridge.observability import Metric, count, logger
from bridge.reasons import Reason
from bridge.validation import load_object

ROUTES = "POST /partners/"
"""What the template's routes of this protocol begin with."""

MAX_PARTNER = 64
"""Characters of a partner's name."""


MAX_UNCHECKED_BYTES = 131_072
"""A longer body is not read before a small look has found the right keys in it."""


def answer_import(call: Call) -> Answer:
    """Authenticate, validate and accept one call; raises as `accept`.

    Keys are checked before anything else, but they are in the body. So a body that is
    long or not JSON is searched for them, and quarantined only if it shows the right
    ones.
    """
    came = call.secret.now()
    if not admits(call.secret, lambda known: known.opens_import, shown="import"):
        # No key could be right, so no body is worth reading.
        return _unauthorized(call, NO_KEYS, server.WRONG_PARTNER_KEY)
    body, data = b"", None
    try:
        body = call.request.body()
        if len(body) > MAX_UNCHECKED_BYTES:
            keys = server.keys_in(body)
            if refusal := _refusal(keys, call.secret, came):
                return _unauthorized(call, keys, refusal)
        data = load_object(body)
        keys = server.keys_of(data)
        if refusal := _refusal(keys, call.secret, came):
            return _unauthorized(call, keys, refusal)
        _accept(call, data)
    except MalformedInput as error:
        keys = server.keys_in(body)
        if data is None and _refusal(keys, call.secret, came):
            _count_refusal(call, keys)
        else:
            call.quarantine_body(server.without_keys(body, data), error)
        return Answer(400, {"message": str(error)})
    count(Metric.IMPORT_CALLS)
    return Answer(201, {"message": "success"})


NO_KEYS = Keys(None, None)


def _unauthorized(call: Call, keys: Keys, refusal: str) -> Answer:
    _count_refusal(call, keys)
    return Answer(401, {"message": refusal})


def _count_refusal(call: Call, keys: Keys) -> None:
    def is_known(known: WebhookCredentials) -> bool:
        partner = key_matches(keys.partner_api_key, known.partner_api_keys)
        return key_matches(keys.client_secret, known.data_import_keys) or partner

    count_refusal(call.secret, is_known, presented=_presented(keys))


def _presented(keys: Keys) -> bool:
    return bool(keys.partner_api_key or keys.client_secret)


def _refusal(keys: Keys, secret: Secret[WebhookCredentials], came: float) -> str | None:
    """Why the keys do not open the cohort import, in Braze's words."""
    refusal = _wrong_key(keys, secret.get())
    if refusal and _presented(keys):
        # A key may have been added a moment ago.
        shown = json.dumps([keys.partner_api_key, keys.client_secret])
        refusal = _wrong_key(keys, secret.read_since(came, shown))
    return refusal


def _wrong_key(keys: Keys, known: WebhookCredentials) -> str | None:
    partner = key_matches(keys.partner_api_key, known.partner_api_keys)
    client = key_matches(keys.client_secret, known.data_import_keys)
    if not partner:
        return server.WRONG_PARTNER_KEY
    return None if client else server.WRONG_IMPORT_KEY


def _accept(call: Call, data: dict[str, Any]) -> None:
    """Carry out a call that names a cohort, or one that changes its members."""
    request = call.request
    partner = request.path_parameters.get("partner", "")
    if not 0 < len(partner) <= MAX_PARTNER:
        raise MalformedInput(Reason.PARTNER, "the partner's name is too long")
    if not request.route.endswith("/users"):
        naming = server.read_naming(data)
        accept_naming(partner, naming, ledger=call.ledger)
        logger.info("cohort named", project=partner, cohort=naming.cohort_id)
        return
    for accepted in accept_changes(
        partner,
        server.read_changes(data),
        request.id,
        request.arrived_ms,
        ledger=call.ledger,
        pages=call.pages,
        queue=call.queue,
    ):
        report(accepted)


def accept_naming(partner: str, naming: Naming, *, ledger: PageLog) -> None:
    """Store the cohort's name; raises `RetryableError` when that fails."""
    ledger.rename(CohortKey(project=partner, cohort=naming.cohort_id), naming.name)


def accept_changes(
    partner: str,
    changes: CohortChanges,
    request_id: str,
    now_ms: int,
    *,
    ledger: PageLog,
    pages: PageStore,
    queue: Queue,
) -> list[Accepted]:
    """Accept one call as two pages, or none if it names nobody; raises as `accept`."""
    key = CohortKey(project=partner, cohort=changes.cohort_id)
    # For whoever is named twice in one call, the last change counts.
    members: dict[Identifier, bool] = {}
    skipped = {action: Counter[str]() for action in (Action.ADD, Action.REMOVE)}
    for present, found in _identified(changes):
        if isinstance(found, Identifier):
            members[found] = present
        else:
            skipped[Action.ADD if present else Action.REMOVE][found] += 1
    if not members and not any(skipped.values()):
        return []
    accepted = []
    for action, reasons in skipped.items():
        listed = [
            Listed(member.key, member)
            for member, present in members.items()
            if present == action.present
        ]
        arrival = Arrival(
            key, "", request_id, action, 1, 1, listed, reasons, infers=False
        )
        accepted.append(
            accept_page(arrival, now_ms, ledger=ledger, pages=pages, queue=queue)
        )
    return accepted


def _identified(changes: CohortChanges) -> Iterator[tuple[bool, Identifier | str]]:
    """Whether the user joins, and their identifier or the reason to skip them."""
    for change in changes.changes:
        users = [
            *((Kind.EXTERNAL_ID, user_id, "") for user_id in change.user_ids),
            *((Kind.DEVICE, device_id, "") for device_id in change.device_ids),
            *((Kind.ALIAS, name, label) for name, label in change.aliases),
        ]
        for kind, value, label in users:
            found = identify(kind, value, label)
            yield change.present, found or Reason.NO_IDENTIFIER
