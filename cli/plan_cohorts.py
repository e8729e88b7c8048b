"""What a saved call of one of the cohort doors would bring about, without doing it.

The consumer's own code carries the page out: on a ledger that is read and never
written, and towards a Braze that notes the requests and takes them all.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, override

from pydantic import SecretStr

from bridge.aws.dynamodb import Table
from bridge.braze.client import BrazeClient, PartnerClient
from bridge.braze.partner_cohorts.server import read_changes
from bridge.cohorts.adapters.dynamodb_ledger import DynamoLedger
from bridge.cohorts.apply.context import Context, Policy
from bridge.cohorts.apply.dispatch import consume
from bridge.cohorts.cohort_messages import Message
from bridge.cohorts.intake.partner_import import accept_changes
from bridge.cohorts.intake.webhook import accept
from bridge.cohorts.messages import CohortKey, PageMessage
from bridge.cohorts.pages import Listed, read_page
from bridge.cohorts.ports.page_log import Registration
from bridge.cohorts.ports.page_store import PageStore
from bridge.cohorts.ports.queue import Queue
from bridge.cohorts.ports.reports import Reports
from bridge.cohorts.ports.route import Change, Conclude, Route
from bridge.cohorts.routes.attribute import AttributeRoute
from bridge.cohorts.routes.devices import Devices
from bridge.cohorts.routes.partner import PartnerRoute
from bridge.cohorts.rules.identifiers import parse_sources
from bridge.cohorts.rules.model import Cohort, Pages, RegisteredPage, Sync
from bridge.cohorts.rules.outcomes import ReportRow
from bridge.credentials import BrazeCredentials
from bridge.mixpanel.cohort_webhook import Action, parse
from bridge.settings import CohortRoute
from bridge.transport import Reply, Transport
from cli.stack import RunningStack

READING = frozenset({"batch_get_item", "get_item", "query", "get_paginator"})
HIDDEN = "(from the Braze secret)"
FOUND_BY_DEVICE = "(found by its device)"


@dataclass(frozen=True)
class Planned:
    """A request that would be made; keys are left out."""

    path: str
    body: Mapping[str, Any]


@dataclass
class CohortPlan:
    """What one call would bring about.

    `outcomes` count members by what becomes of them, `then` says what follows once the
    page has been applied.
    """

    cohort: str
    name: str
    action: str
    page: str
    members: int
    outcomes: Mapping[str, int] = field(default_factory=dict)
    requests: Sequence[Planned] = ()
    look_ups: int = 0
    then: Sequence[str] = ()


def plan_webhook(stack: RunningStack, body: bytes) -> list[CohortPlan]:
    """Plan a call of Mixpanel's webhook; raises `MalformedInput` as the webhook."""
    postback = parse(body)
    sources = parse_sources(
        stack.identifiers, partner=stack.route is CohortRoute.PARTNER
    )
    parameters = postback.parameters

    def call(door: "_Door") -> None:
        accept(
            postback,
            int(time.time() * 1000),
            sources=sources,
            ledger=door.ledger,
            pages=door.pages,
            queue=door.queue,
        )

    key = CohortKey(
        project=parameters.mixpanel_project_id, cohort=parameters.mixpanel_cohort_id
    )
    name = parameters.mixpanel_cohort_name
    info = parameters.page_info
    page = f"{info.page_count} of {info.total_pages}" if info else "without page_info"
    return [
        replace(each, page=page, members=len(postback.members))
        for each in _plans(stack, key, name, call)
    ]


def plan_import(stack: RunningStack, body: bytes) -> list[CohortPlan]:
    """Plan a call of the cohort import; raises `MalformedInput` as the door does."""
    changes = read_changes(json.loads(body))
    key = CohortKey(project=stack.partner, cohort=changes.cohort_id)

    def call(door: "_Door") -> None:
        accept_changes(
            stack.partner,
            changes,
            "plan",
            int(time.time() * 1000),
            ledger=door.ledger,
            pages=door.pages,
            queue=door.queue,
        )

    return _plans(stack, key, "", call)


def _plans(
    stack: RunningStack, key: CohortKey, name: str, call: Callable[["_Door"], None]
) -> list[CohortPlan]:
    door = _Door(stack, key)
    call(door)
    plans = []
    for message in list(door.queue.sent):
        if not isinstance(message, PageMessage):
            continue
        plan = _plan(stack, door, message)
        plan.name = name or door.ledger.cohort(key).name
        plans.append(plan)
    return plans


def _plan(stack: RunningStack, door: "_Door", message: PageMessage) -> CohortPlan:
    transport = _Notes()
    queue, reports = _Queue(), _Rows()
    skipped = door.ledger.registered_now[message.action].skipped
    context = Context(
        ledger=door.ledger,
        pages=door.pages,
        queue=queue,
        route=_AsRecorded(
            _route(stack, transport), door.ledger.cohort(message.key).destination
        ),
        reports=reports,
        time_left=lambda: 3600.0,
        quarantine=lambda *_: None,
        policy=Policy(write_gap_seconds=0),
    )
    consume(context, message)
    outcomes = Counter(
        f"{row.outcome}: {row.reason}" if row.reason else str(row.outcome)
        for row in reports.rows
    )
    for reason, number in skipped.items():
        outcomes[f"skipped: {reason}"] += number
    return CohortPlan(
        message.key.cohort,
        "",
        message.action,
        message.page,
        len(door.pages.get(message.key, message.digest)) + sum(skipped.values()),
        dict(outcomes),
        [each for each in transport.noted if each.path != "/users/export/ids"],
        sum(each.path == "/users/export/ids" for each in transport.noted),
        list(_then(message, queue.sent, door)),
    )


def _then(
    message: PageMessage, sent: Sequence[Message], door: "_Door"
) -> Iterator[str]:
    if message.action is Action.FULL:
        total = door.ledger.registered_now[message.action].page.total or 0
        pages = f"all {total} pages" if total > 1 else "the page"
        yield (
            f"once {pages} of this full list have been applied, whoever it does not "
            "name is removed, unless the removal guard holds that"
        )
    yield from (f"a message is queued: {each.kind}" for each in sent)


def _route(stack: RunningStack, transport: Transport) -> Route:
    secret: Any = _Keys()
    if stack.route is CohortRoute.PARTNER:
        client = PartnerClient(transport, secret, lambda: 60.0, stack.partner)
        return PartnerRoute(client, datetime.now(UTC))
    return AttributeRoute(
        BrazeClient(transport, secret, lambda: 60.0),
        Devices(),
        attribute=stack.attribute,
        form=stack.form,
        value=stack.value,
    )


class _AsRecorded(Route):
    """A route that leads where the ledger says members are pushed to.

    That place is named by the key, which a plan does without.
    """

    def __init__(self, route: Route, destination: str) -> None:
        self._route = route
        self._destination = destination

    @property
    @override
    def step(self) -> int:
        return self._route.step

    @override
    def destination(self) -> str:
        return self._destination or "planned"

    @override
    def name(self, cohort: str, name: str) -> None:
        self._route.name(cohort, name)

    @override
    def push(
        self, cohort: str, name: str, changes: Sequence[Change], conclude: Conclude
    ) -> None:
        self._route.push(cohort, name, changes, conclude)


class _Keys:
    """Stands where Braze's secret does: no request leaves this machine."""

    def get(self) -> BrazeCredentials:
        hidden = SecretStr(HIDDEN)
        return BrazeCredentials(
            rest_api_key=hidden, partner_api_key=hidden, data_import_key=hidden
        )

    refreshed = get


class _Notes(Transport):
    """Notes each request, and answers as a Braze that takes everything."""

    def __init__(self) -> None:
        super().__init__("braze", "https://braze.invalid")
        self.noted: list[Planned] = []

    @override
    def post(self, path: str, body: bytes, **_: Any) -> Reply:
        content = json.loads(body)
        self.noted.append(Planned(path, content))
        answer: dict[str, Any] = {"message": "success"}
        if path == "/users/export/ids":
            answer["users"] = [{"braze_id": FOUND_BY_DEVICE}]
        if path == "/users/track":
            answer["attributes_processed"] = len(content["attributes"])
        return Reply(201, {}, json.dumps(answer).encode())


class _Reading:
    """A client of DynamoDB that reads; what would write does nothing."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        if name in READING:
            return getattr(self._client, name)
        return lambda **_: {}


class _Ledger(DynamoLedger):
    """The ledger with one page more, which is registered nowhere."""

    def __init__(self, stack: RunningStack, key: CohortKey) -> None:
        client: Any = _Reading(stack.client("dynamodb"))
        super().__init__(Table(client, stack.resources["LedgerTable"]), time.time())
        self.registered_now: dict[Action, Registration] = {}
        self._planned: dict[int, Sync] = {}
        self._key = key

    @override
    def register(self, cohort: Cohort, registration: Registration) -> bool:
        page, seq = registration.page, registration.placement.seq
        self.registered_now[page.action] = registration
        known = {sync.seq: sync for sync in cohort.syncs}.get(seq)
        sync = known or Sync(
            seq,
            page.action is Action.FULL,
            registration.now_ms,
            infers=page.infers,
            sender=page.sender,
        )
        accepted = sync.accepted.get(page.action, Pages()).plus(page.name)
        self._planned[seq] = replace(
            sync, accepted={**sync.accepted, page.action: accepted}
        )
        return True

    @override
    def cohort(self, key: CohortKey, session: str | None = None) -> Cohort:
        cohort = super().cohort(key, session)
        others = [sync for sync in cohort.syncs if sync.seq not in self._planned]
        syncs = sorted([*others, *self._planned.values()], key=lambda sync: sync.seq)
        return replace(
            cohort,
            newest=max([cohort.newest, *self._planned]),
            first=cohort.first or min(self._planned, default=0),
            syncs=tuple(syncs),
        )

    @override
    def cohort_and_page(
        self, message: PageMessage
    ) -> tuple[Cohort, RegisteredPage | None]:
        return self.cohort(message.key), None


class _Pages(PageStore):
    def __init__(self) -> None:
        self._stored: dict[str, bytes] = {}

    @override
    def put(self, key: CohortKey, digest: str, content: bytes) -> None:
        self._stored[digest] = content

    @override
    def get(self, key: CohortKey, digest: str) -> Sequence[Listed]:
        return read_page(self._stored[digest])


class _Queue(Queue):
    def __init__(self) -> None:
        self.sent: list[Message] = []

    @override
    def send(self, message: Message) -> None:
        self.sent.append(message)


class _Rows(Reports):
    def __init__(self) -> None:
        self.rows: list[ReportRow] = []

    @override
    def write(
        self, key: CohortKey, sync: str, part: str, rows: Sequence[ReportRow]
    ) -> None:
        self.rows += rows


class _Door:
    """What the door stores into, for one plan."""

    def __init__(self, stack: RunningStack, key: CohortKey) -> None:
        self.ledger = _Ledger(stack, key)
        self.pages = _Pages()
        self.queue = _Queue()
