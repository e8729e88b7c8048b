"""The cohort flow with its ports in memory, and a Braze that can fail."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from bridge.cohorts.adapters.sync_items import page_of
from bridge.cohorts.apply.context import Applied, Context, Policy
from bridge.cohorts.apply.dispatch import consume
from bridge.cohorts.cohort_messages import Message
from bridge.cohorts.intake.accept import Accepted
from bridge.cohorts.intake.webhook import accept
from bridge.cohorts.messages import CohortKey, PageMessage
from bridge.cohorts.ports.ledger import Ledger
from bridge.cohorts.ports.route import Change, Conclude, Pushed
from bridge.cohorts.rules.identifiers import parse_sources
from bridge.mixpanel.cohort_webhook import Postback
from tests.fakes.memory_ledger import (
    MemoryLedger,
    MemoryPageStore,
    MemoryQueue,
    MemoryReports,
)

KEY = CohortKey(project="1", cohort="7")
SOURCES = parse_sources("external_id=mixpanel_distinct_id")


type Person = str | Mapping[str, object]
"""A distinct id, or a whole member of a page."""


def member(person: Person) -> Mapping[str, object]:
    return {"mixpanel_distinct_id": person} if isinstance(person, str) else person


def crowd(first: int, last: int) -> list[str]:
    """The people from number `first` to before `last`, whose names sort by number."""
    return [f"u{number:04}" for number in range(first, last)]


@dataclass
class Braze:
    """Implements `ports.Route` for one cohort of one workspace.

    `before` and `after` may raise before a call takes effect or once it has; `on_call`
    sees what a call asks for. Braze rejects the users in `rejects`. `noops` counts
    changes that changed nothing: each of them is billed.
    """

    members: set[str] = field(default_factory=set)
    calls: list[list[tuple[str, bool]]] = field(default_factory=list)
    noops: int = 0
    rejects: frozenset[str] = frozenset()
    reason: str = "rejected"
    before: Callable[[], None] = lambda: None
    after: Callable[[], None] = lambda: None
    on_call: Callable[[list[tuple[str, bool]]], None] = lambda _: None
    step: int = 300
    workspace: str = "here"
    names: list[tuple[str, str]] = field(default_factory=list)

    def destination(self) -> str:
        return self.workspace

    def name(self, cohort: str, name: str) -> None:
        self.names.append((cohort, name))

    def push(
        self, cohort: str, name: str, changes: Sequence[Change], conclude: Conclude
    ) -> None:
        self.before()
        call = [(i.value, present) for i, present, *_ in changes]
        self.on_call(call)
        self.calls.append(call)
        for identifier, present, *_ in changes:
            if identifier.value in self.rejects:
                continue
            self.noops += (identifier.value in self.members) == present
            if present:
                self.members.add(identifier.value)
            else:
                self.members.discard(identifier.value)
        self.after()
        conclude(
            {
                position: Pushed(
                    self.reason if each.identifier.value in self.rejects else None
                )
                for position, each in enumerate(changes)
            }
        )


class World:
    """The bridge in memory, between the calls of a sender and a cohort in Braze.

    `now` is in ms. `seconds_left` are the answers to `time_left`, in order; when they
    run out there is time enough.
    """

    def __init__(self, ledger: Ledger | None = None) -> None:
        self.braze = Braze()
        self.ledger = ledger or MemoryLedger()
        self.pages = MemoryPageStore()
        self.reports = MemoryReports()
        self.queue = MemoryQueue()
        self.now = 1_000_000
        self.sources = SOURCES
        self.seconds_left: Iterable[float] = ()
        self.policy = Policy()
        self.slept: list[float] = []
        self.quarantined: list[tuple[Message, str]] = []

    def call(
        self,
        action: str,
        people: Iterable[Person],
        *,
        page: tuple[int, int] | None = (1, 1),
        session: str = "s1",
        name: str = "Trial",
        sender: str = "",
        **extra: Any,
    ) -> Accepted:
        """Accept one call of the sender; `page` is its number and the total."""
        self.now += 1000
        parameters: dict[str, Any] = {
            "mixpanel_project_id": KEY.project,
            "mixpanel_cohort_id": KEY.cohort,
            "mixpanel_cohort_name": name,
            "mixpanel_session_id": session,
            "members": [*map(member, people)],
        }
        if page:
            number, total = page
            parameters["page_info"] = {"page_count": number, "total_pages": total}
        body = {"action": action, "parameters": parameters | extra}
        return accept(
            Postback.model_validate(body),
            self.now,
            sender=sender,
            sources=self.sources,
            ledger=self.ledger,
            pages=self.pages,
            queue=self.queue,
        )

    def context(self) -> Context:
        left = iter(self.seconds_left)
        return Context(
            ledger=self.ledger,
            pages=self.pages,
            queue=self.queue,
            route=self.braze,
            reports=self.reports,
            time_left=lambda: next(left, 300.0),
            quarantine=lambda message, reason: self.quarantined.append(
                (message, reason)
            ),
            policy=self.policy,
            clock=lambda: self.now / 1000,
            sleep=self.slept.append,
        )

    def forget_sending(self, message: PageMessage) -> None:
        """As if the webhook had crashed before it sent the message of a page."""
        ledger: Any = self.ledger
        if isinstance(ledger, MemoryLedger):
            at = message.seq, message.action, message.page
            pages = ledger._at(message.key).pages
            pages[at] = replace(pages[at], sent=False)
        else:
            page = page_of(message)
            page.assign("sent", False)
            ledger._table.update(page)

    def handle(self, message: Message, received: int = 1) -> Applied:
        """Carry out one message."""
        return consume(self.context(), message, received)

    def step(self) -> Applied:
        """Carry out the first message; it stays in the queue if that fails."""
        applied = self.handle(self.queue.waiting[0])
        self.queue.waiting.pop(0)
        return applied

    def drain(self) -> Applied:
        """Carry out all messages; returns the sum of what they brought about."""
        total = Applied()
        while self.queue.waiting:
            done = self.step()
            for each in fields(Applied):
                known, more = getattr(total, each.name), getattr(done, each.name)
                setattr(
                    total,
                    each.name,
                    known | more if each.name == "outcomes" else known + more,
                )
        return total

    def wait(self) -> None:
        """Let the half hour pass until Mixpanel's next sync."""
        self.now += 1_800_000

    def full(self, *people: Person, session: str) -> None:
        """Run a whole full sync and apply it."""
        self.wait()
        self.call("members", people, session=session)
        self.drain()

    def diff(
        self, add: Iterable[Person], remove: Iterable[Person], *, session: str
    ) -> None:
        """Run a whole diff and apply it."""
        self.wait()
        self.call("add_members", add, session=session)
        self.call("remove_members", remove, session=session)
        self.drain()
