"""A cohort, its syncs and their pages, as the rules see them (pure).

A cohort sync is a transaction: its pages are the statements, and "every page answered
2xx" is the commit. docs/architecture.md tells the story.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from bridge.mixpanel.cohort_webhook import Action


@dataclass(frozen=True, slots=True)
class Page:
    """One call of the sender; `number` and `total` are None without `page_info`.

    `infers` says that its protocol has sessions and diffs, from which syncs can be
    inferred; a call of the cohort import stands for itself. `sender` stands for the
    connection that made the call, and is empty where there is none to tell apart.
    """

    session: str
    action: Action
    number: int | None
    total: int | None
    digest: str
    empty: bool
    infers: bool = True
    sender: str = ""

    @property
    def name(self) -> str:
        """Distinguishes the page from the others of its sync and action."""
        return self.digest[:12] if self.number is None else str(self.number)


@dataclass(frozen=True, slots=True)
class RegisteredPage:
    """A page in the ledger: `at` is its latest arrival in ms.

    `sent` says that its message is in the queue, `processed` that it has been applied.
    """

    action: Action
    name: str
    digest: str
    total: int | None
    at: int
    sent: bool = False
    processed: bool = False


class Pages(NamedTuple):
    """Pages of one action of a sync: counted, for a sync may have a hundred thousand.

    `checksum` is the sum of their names' checksums: it tells which numbers they have.
    """

    number: int = 0
    checksum: int = 0

    def plus(self, name: str) -> "Pages":
        """With one page more."""
        return Pages(self.number + 1, self.checksum + checksum(name))


def checksum(name: str) -> int:
    """64 bits of a page's name that add up to the same sum by the same pages alone."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])


@dataclass(frozen=True, slots=True)
class Sync:
    """What is known of one sync; `seq` orders the syncs of a cohort.

    `accepted` are its pages so far, of which `processed` have been applied. `repeats`
    holds the earlier syncs a change of which this one states once more. `skipped` and
    `rejected` count members by reason; of the `listed` ones, whom it adds, so many are
    `already_in` at Braze.
    `restarts` is the sync that this one begins anew under the same session id; the
    pages of that one which arrived before `since` (ms) belong to its failed run. With
    `is_suspect` most profiles of this full sync have lost their identifiers. Without
    `infers` it is one call of the cohort import: it states what it states, whatever
    comes before and after it.
    """

    seq: int
    full: bool
    last_page_at: int
    sessions: Mapping[Action, frozenset[str]] = field(default_factory=dict)
    totals: Mapping[Action, int] = field(default_factory=dict)
    accepted: Mapping[Action, Pages] = field(default_factory=dict)
    processed: int = 0
    skipped: Mapping[Action, Mapping[str, int]] = field(default_factory=dict)
    rejected: Mapping[str, int] = field(default_factory=dict)
    listed: int = 0
    already_in: int = 0
    repeats: frozenset[int] = frozenset()
    restarts: int = 0
    since: int = 0
    is_suspect: bool = False
    aborted: bool = False
    infers: bool = True
    sender: str = ""

    def has_session(self, session: str) -> bool:
        """Whether a page of the sync came under this session id."""
        return any(session in sessions for sessions in self.sessions.values())

    @property
    def is_processed(self) -> bool:
        """Whether every accepted page has been applied."""
        return self.processed >= sum(pages.number for pages in self.accepted.values())


FEEDING_MS = 3 * 86_400_000
"""A connection feeds a cohort for so long after its newest sync: the life of Mixpanel's
snapshot, after which it would begin anew. A renamed connection is then forgotten."""


@dataclass(frozen=True, slots=True)
class Cohort:
    """The open syncs of a cohort, oldest first, and what is resolved of the others.

    `first` and `newest` are the first and the newest sync of all. `baseline` is the
    last full sync in force, `measuring` the full sync whose removals are being counted
    and `held_removal` the one that the removal guard holds back. `mislabelled` is a
    diff whose adds look like a full list (rule 25). `aborted` are syncs
    whose changes are yet to be rolled back. `sends_empty` and `shares_sessions` are
    habits of the sender, seen at least once: calls with an empty list, and one session
    for both actions. `senders` are the connections that ever spoke of the cohort, each
    with its newest sync. `gaps` are the newest gaps between syncs, in ms. `name` is
    Mixpanel's current name, `first_name` the first one, which never changes.
    `destination` is where members are pushed to and `published_name` what Braze calls
    the cohort there. `has_index` says that some profiles stand elsewhere than under
    their own distinct id, so that the index of profiles has to be read. `counts` are
    members by state (`rules/counts.py`), which were changed `counted` times, `skipped`
    the profiles that finished syncs have skipped. `rejected_in` is the newest sync when
    Braze last rejected a member for a passing reason, 0 once there is none. `revision`
    is the version for optimistic locking.
    """

    first: int = 0
    newest: int = 0
    baseline: int = 0
    measuring: int = 0
    held_removal: int = 0
    mislabelled: int = 0
    syncs: tuple[Sync, ...] = ()
    aborted: frozenset[int] = frozenset()
    sends_empty: bool = False
    shares_sessions: bool = False
    senders: Mapping[str, int] = field(default_factory=dict)
    gaps: tuple[int, ...] = ()
    name: str = ""
    first_name: str = ""
    destination: str = ""
    published_name: str = ""
    has_index: bool = False
    counts: Mapping[str, int] = field(default_factory=dict)
    counted: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    rejected_in: int = 0
    revision: int = 0

    def feeding(self, at: int) -> frozenset[str]:
        """The connections that feed the cohort at this time, in ms."""
        return frozenset(
            sender for sender, seq in self.senders.items() if seq > at - FEEDING_MS
        )

    @property
    def has_two_senders(self) -> bool:
        """Whether two connections fed the cohort when its newest sync began.

        Each of them diffs against a snapshot of its own, so that one may state what the
        other has stated already.
        """
        return len(self.feeding(self.newest)) > 1

    @property
    def waiting(self) -> int:
        """The newest sync that waits for an operator, 0 if none does."""
        return max(self.held_removal, self.mislabelled)

    def newest_of(self, sender: str) -> int:
        """The newest sync of a connection, or of all if it no longer feeds."""
        is_feeding = sender in self.feeding(self.newest)
        return self.senders[sender] if is_feeding else self.newest

    def follows(self, later: Sync, earlier: Sync) -> bool:
        """Whether `later` shows that the sender of `earlier` has moved on."""
        return later.seq > earlier.seq and (
            later.sender == earlier.sender
            or earlier.sender not in self.feeding(self.newest)
        )
