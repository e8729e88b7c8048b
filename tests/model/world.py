"""The cohort flow on its ports in memory, with a Braze that can fail."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bridge.cohorts.adapters.ledger_items import page_of
from bridge.cohorts.apply.context import Applied, Context, Policy
from bridge.cohorts.apply.dispatch import consume
from bridge.cohorts.intake.accept import Accepted
from bridge.cohorts.intake.webhook import accept
from bridge.cohorts.messages import CohortKey, Message, PageMessage
from bridge.cohorts.ports import Change, Ledger, Pushed
from bridge.cohorts.rules.identifiers import parse_sources
from bridge.mixpanel.cohort_webhook import Postback
from tests.fakes.memory_ledger import MemoryLedger, MemoryPageStore, MemoryQueue

KEY = CohortKey(project="1", cohort="7")
SOURCES = parse_sources("external_id=mixpanel_distinct_id")


def crowd(first: int, last: int) -> list[str]:
    return [f"u{number:04}" for number in range(first, last)]


@dataclass
class Braze:
    """Implements `ports.Route`; `fault` may raise before or after a call applies."""

    members: set[str] = field(default_factory=set)
    calls: list[list[tuple[str, bool]]] = field(default_factory=list)
    noops: int = 0
    refuse: frozenset[str] = frozenset()
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
        self, cohort: str, name: str, changes: Sequence[Change]
    ) -> Sequence[Pushed]:
        self.before()
        call = [(i.value, present) for i, present, _ in changes]
        self.on_call(call)
        self.calls.append(call)
        for identifier, present, _ in changes:
            if identifier.value in self.refuse:
                continue
            self.noops += (identifier.value in self.members) == present
            if present:
                self.members.add(identifier.value)
            else:
                self.members.discard(identifier.value)
        self.after()
        refuse = self.refuse
        return [Pushed("refused" if i.value in refuse else None) for i, *_ in changes]


class World:
    """A bridge in memory: calls of the sender in, a Braze cohort out."""

    def __init__(self, ledger: Ledger | None = None) -> None:
        self.braze = Braze()
        self.ledger = ledger or MemoryLedger()
        self.pages = MemoryPageStore()
        self.queue = MemoryQueue()
        self.now = 1_000_000
        self.sources = SOURCES
        self.seconds_left: Iterable[float] = ()
        self.policy = Policy()
        self.slept: list[float] = []
        self.aside: list[tuple[Message, str]] = []

    def call(
        self,
        action: str,
        people: Iterable[str],
        *,
        page: tuple[int, int] | None = (1, 1),
        session: str = "s1",
        name: str = "Trial",
        sender: str = "",
        **extra: Any,
    ) -> Accepted:
        """One call of the sender: page (number, total)."""
        self.now += 1000
        parameters: dict[str, Any] = {
            "mixpanel_project_id": KEY.project,
            "mixpanel_cohort_id": KEY.cohort,
            "mixpanel_cohort_name": name,
            "mixpanel_session_id": session,
            "members": [{"mixpanel_distinct_id": person} for person in people],
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

    def pusher(self) -> Context:
        left = iter(self.seconds_left)
        return Context(
            ledger=self.ledger,
            pages=self.pages,
            queue=self.queue,
            route=self.braze,
            time_left=lambda: next(left, 300.0),
            quarantine=lambda message, reason: self.aside.append((message, reason)),
            policy=self.policy,
            clock=lambda: self.now / 1000,
            sleep=self.slept.append,
        )

    def forget_sending(self, message: PageMessage) -> None:
        """As if the webhook had died before it sent the message of a page."""
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
        return consume(self.pusher(), message, received)

    def step(self) -> Applied:
        """Handle the first message; it stays if that fails."""
        done = self.handle(self.queue.waiting[0])
        self.queue.waiting.pop(0)
        return done

    def drain(self) -> Applied:
        """Handle all messages; the sum of what they did."""
        total = Applied()
        while self.queue.waiting:
            done = self.step()
            total.pushed += done.pushed
            total.rejected += done.rejected
            total.skipped += done.skipped
            total.held_removals += done.held_removals
        return total

    def wait(self) -> None:
        """Until Mixpanel's next sync, half an hour."""
        self.now += 1_800_000

    def full(self, *people: str, session: str) -> None:
        self.wait()
        self.call("members", people, session=session)
        self.drain()

    def diff(self, add: Iterable[str], remove: Iterable[str], *, session: str) -> None:
        self.wait()
        self.call("add_members", add, session=session)
        self.call("remove_members", remove, session=session)
        self.drain()
