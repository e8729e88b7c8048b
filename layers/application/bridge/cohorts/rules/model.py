"""Which sync a page belongs to, and when all pages of a sync are in (pure).

A cohort sync is a transaction: its pages are the statements, "every page answered 2xx"
is the commit. docs/architecture.md has the story.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.mixpanel.cohort_webhook import Action


@dataclass(frozen=True, slots=True)
class Page:
    """One call of the sender; `number` and `total` are None without `page_info`."""

    session: str
    action: Action
    number: int | None
    total: int | None
    digest: str
    empty: bool

    @property
    def name(self) -> str:
        """What tells the page from the others of its sync and action."""
        return self.digest[:12] if self.number is None else str(self.number)


@dataclass(frozen=True, slots=True)
class Sync:
    """What is known of one sync; `seq` orders the syncs of a cohort.

    `repeats` holds the earlier syncs of which this one said a change again. `restarts`
    is the sync that this one began anew under the same session id; what came of that
    one until `since` (ms) belongs to the run that failed.
    """

    seq: int
    full: bool
    last_page_at: int
    sessions: Mapping[Action, frozenset[str]] = field(default_factory=dict)
    totals: Mapping[Action, int] = field(default_factory=dict)
    accepted: Mapping[Action, frozenset[str]] = field(default_factory=dict)
    processed: Mapping[Action, frozenset[str]] = field(default_factory=dict)
    repeats: frozenset[int] = frozenset()
    restarts: int = 0
    since: int = 0
    aborted: bool = False

    def has_session(self, session: str) -> bool:
        """Whether a page of the sync came under this session id."""
        return any(session in sessions for sessions in self.sessions.values())

    @property
    def is_processed(self) -> bool:
        """Whether every accepted page has taken effect."""
        return all(
            pages <= self.processed.get(action, frozenset())
            for action, pages in self.accepted.items()
        )


@dataclass(frozen=True, slots=True)
class Registered:
    """A page as it stands in the ledger; `at` is when it came last, in ms.

    `sent` says that its message is in the queue.
    """

    action: Action
    name: str
    digest: str
    total: int | None
    at: int
    sent: bool = False


@dataclass(frozen=True, slots=True)
class Cohort:
    """The syncs that still matter, oldest first, and what is decided of the others.

    `first` and `newest` are the first and the newest sync of all, `floor` the full sync
    in force, `weighed` the one whose sweep is being weighed against the guard and
    `held` the one whose sweep it holds back. `dead` are the syncs whose roll-back is
    still to be carried out. `sends_empty` and `shares_sessions` are habits of the
    sender that were seen at least once: a call with an empty list, one session for both
    actions. `name` is Mixpanel's; `label` is the first one and does not change with
    it. `destination` and `told` are where members were last pushed to and the name that
    was given there. `revision` guards the writing.
    """

    first: int = 0
    newest: int = 0
    baseline: int = 0
    measuring: int = 0
    held_removal: int = 0
    syncs: tuple[Sync, ...] = ()
    aborted: frozenset[int] = frozenset()
    sends_empty: bool = False
    shares_sessions: bool = False
    name: str = ""
    first_name: str = ""
    destination: str = ""
    published_name: str = ""
    revision: int = 0
