"""Apply a page: record what it states of its members, and push them."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from bridge.chunking import by_count
from bridge.cohorts.apply.commit import commit_pages
from bridge.cohorts.apply.context import Applied, Context
from bridge.cohorts.apply.publish import publish
from bridge.cohorts.apply.push import push
from bridge.cohorts.messages import PageMessage
from bridge.cohorts.rules.completeness import repetition_counts
from bridge.cohorts.rules.identifiers import Identifier, Matched
from bridge.cohorts.rules.membership import Member, prune, record_version
from bridge.cohorts.rules.model import Cohort, Sync
from bridge.errors import BridgeError, PermanentError, RetryableError
from bridge.reasons import Reason

MAX_PROFILE_BYTES = 200_000
"""Of the Mixpanel profiles behind one Braze user; more is a shared id, not a person,
and DynamoDB takes 400 KB an item."""

VERSIONS_BYTES = 200
"""About what the versions of one profile take."""

FRESH_MS = 86_400_000
"""A full sync does not reassert members who were pushed within a day."""

type User = tuple[Identifier, list[str]]
"""A Braze user, and the profiles of the page that resolve to it."""


@dataclass(slots=True)
class PageWork:
    """One page being applied; `applied` grows with each step that is done."""

    context: Context
    message: PageMessage
    cohort: Cohort
    sync: Sync
    applied: Applied = field(default_factory=Applied)

    def apply(self, users: Sequence[User]) -> None:
        """Apply the page to some of its users; safe to repeat."""
        context, message = self.context, self.message
        context.need_time()
        keys = [identifier.key for identifier, _ in users]
        known = context.ledger.members(message.key, keys)
        members: list[Member] = []
        repeats: set[tuple[int, int]] = set()
        for key, (_, distinct_ids) in zip(keys, users, strict=True):
            old = known.get(key, Member(key))
            members.append(self.recorded(old, distinct_ids, repeats))
        # Repeats first: they must be known before the page counts as processed.
        self._mark(repeats)
        self.applied += push(
            context,
            message.key,
            self.cohort,
            members,
            reassert=self._reasserts(),
            is_replay=message.reassert,
        )

    def recorded(
        self, member: Member, distinct_ids: Iterable[str], repeats: set[tuple[int, int]]
    ) -> Member:
        """The member with this page's version recorded; adds to `repeats`."""
        message, cohort = self.message, self.cohort
        open_syncs = [sync.seq for sync in cohort.syncs]
        profiles = dict(member.profiles)
        size = sum(map(_size, profiles))
        for distinct_id in distinct_ids:
            if distinct_id not in profiles:
                size += _size(distinct_id)
                if size > MAX_PROFILE_BYTES:
                    self.applied.skipped[Reason.SHARED_IDENTIFIER] += 1
                    continue
            versions, pairs = record_version(
                profiles.get(distinct_id, {}), message.seq, message.action.present
            )
            repeats |= pairs
            profiles[distinct_id] = prune(
                versions, cohort.baseline, cohort.aborted, open_syncs
            )
        return replace(member, profiles=profiles)

    def _mark(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Record which diffs repeat a change of an open one."""
        known = {sync.seq: sync.repeats for sync in self.cohort.syncs}
        new = {
            (later, earlier)
            for later, earlier in pairs
            if repetition_counts(self.cohort, later, earlier)
            and earlier not in known[later]
        }
        if new:
            self.context.ledger.mark_repeats(self.message.key, new)

    def _reasserts(self) -> Callable[[Member], bool]:
        """A full sync reasserts everybody: Braze ignores users it does not know."""
        stale = self.context.now_ms() - FRESH_MS
        asserts = self.sync.full and self.context.policy.reassert_days > 0
        reassert = self.message.reassert
        return lambda member: reassert or (asserts and member.pushed_at < stale)


def apply_page(
    context: Context,
    message: PageMessage,
    apply_users: Callable[[PageWork, Sequence[User]], None],
) -> Applied:
    """Carry out one page; safe to repeat, and to resume after any crash.

    `apply_users` chooses the steps in which its users are applied. Raises
    `RetryableError` when the page has to be deferred and `PermanentError` when its
    members are gone.
    """
    key = message.key
    cohort = context.ledger.cohort(key)
    work = PageWork(context, message, cohort, _sync(context, cohort, message))
    sync, applied = work.sync, work.applied
    if message.page not in sync.processed.get(message.action, ()):
        # An aborted sync or one below the baseline counts for nothing. Any other page,
        # however late, fills in what nothing newer has stated.
        if message.reassert or (not sync.aborted and message.seq >= cohort.baseline):
            applied += publish(context, key, cohort)
            users = by_user(context.pages.get(key, message.digest))
            try:
                apply_users(work, users)
            except RetryableError:
                # The page is delivered again; members that Braze rejected are not
                # pushed again, so they are counted now. The error in hand is raised
                # even if they cannot be counted.
                with suppress(BridgeError):
                    context.ledger.count_rejected(message, applied.rejected)
                raise
        context.ledger.mark_processed(message, applied.skipped + applied.rejected)
    commit_pages(context, key)
    return applied


def apply_in_steps(work: PageWork, users: Sequence[User]) -> None:
    """Apply a page in steps that make full calls."""
    for step in by_count(users, work.context.route.step):
        work.apply(step)


def by_user(members: Iterable[Matched]) -> list[User]:
    """One entry a Braze user, with the profiles of the page that resolve to it."""
    users: dict[Identifier, list[str]] = {}
    for member in members:
        profiles = users.setdefault(member.identifier, [])
        if member.distinct_id not in profiles:
            profiles.append(member.distinct_id)
    return list(users.items())


def _sync(context: Context, cohort: Cohort, message: PageMessage) -> Sync:
    for sync in cohort.syncs:
        if sync.seq == message.seq:
            return sync
    found = context.ledger.sync(message.key, message.seq)
    if found is None:
        raise PermanentError(Reason.SYNC_UNKNOWN, "the ledger holds no such sync")
    return found


def _size(distinct_id: str) -> int:
    return len(distinct_id.encode()) + VERSIONS_BYTES
