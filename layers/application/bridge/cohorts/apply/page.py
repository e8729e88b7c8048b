"""Apply a page: record what it states of its members, and push them."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Self

from bridge.chunking import by_count
from bridge.cohorts.apply.commit import commit_pages
from bridge.cohorts.apply.context import Applied, Context
from bridge.cohorts.apply.publish import publish
from bridge.cohorts.apply.push import push
from bridge.cohorts.cohort_messages import RetryRejectedMessage
from bridge.cohorts.messages import PageMessage
from bridge.cohorts.pages import Listed
from bridge.cohorts.ports.ledger import Tally
from bridge.cohorts.rules.completeness import repetition_counts
from bridge.cohorts.rules.membership import Confirmed, Member, Place
from bridge.cohorts.rules.model import Cohort, RegisteredPage, Sync
from bridge.cohorts.rules.outcomes import Outcome, ReportRow
from bridge.cohorts.rules.profiles import (
    MIN_LOST,
    Ledgered,
    Statement,
    home,
)
from bridge.errors import BridgeError, PermanentError, RetryableError
from bridge.mixpanel.cohort_webhook import Action

FRESH_MS = 86_400_000
"""A full sync does not reassert members who were pushed within a day."""


class User(NamedTuple):
    """The profiles of a page that resolve to one Braze user; `key` may be empty."""

    key: str
    profiles: list[Listed]


type Asked = tuple[Statement, set[str]]
"""A statement, and the keys under which its profile may stand."""


@dataclass(slots=True)
class PageWork:
    """One page being applied; `applied` grows with each step that is done.

    `users` are those to apply, none if the page counts for nothing or was applied
    before. `places` are where their profiles stand beside their homes. `rows` are the
    lines of the report that are not stored yet.
    """

    context: Context
    message: PageMessage
    cohort: Cohort
    sync: Sync
    page: RegisteredPage | None
    users: Sequence[User] = ()
    places: dict[str, Place] = field(default_factory=dict)
    applied: Applied = field(default_factory=Applied)
    rows: list[ReportRow] = field(default_factory=list)

    @classmethod
    def begin(cls, context: Context, message: PageMessage) -> Self:
        """Read all about the page but its members.

        Raises `RetryableError` when the page has to be deferred and `PermanentError`
        when its members are gone.
        """
        key, ledger = message.key, context.ledger
        cohort, page = ledger.cohort_and_page(message)
        sync = _sync(context, cohort, message)
        work = cls(context, message, cohort, sync, page)
        # An aborted sync or one below the baseline counts for nothing. Any other page,
        # however late, fills in what nothing newer has stated.
        counts = message.reassert or (
            not sync.aborted and message.seq >= cohort.baseline
        )
        if counts and not (page and page.processed):
            work.applied.rejected += publish(context, key, cohort)
            work.users = by_user(context.pages.get(key, message.digest))
            if cohort.has_index:
                work.places.update(ledger.places(key, sorted(work._distinct_ids())))
        return work

    def names(self) -> frozenset[str]:
        """All that the page may read or write: its profiles, and where they may stand.

        Two pages that share none of these can be applied at the same time.
        """
        ids = self._distinct_ids()
        keys = {user.key for user in self.users} | {home(each, "") for each in ids}
        stands = (place.keys for place in self.places.values())
        return frozenset(f"={each}" for each in ids).union(keys, *stands) - {""}

    def _distinct_ids(self) -> set[str]:
        return {each.distinct_id for user in self.users for each in user.profiles}

    def run(self, apply_users: "Steps") -> None:
        """Apply the page; `apply_users` chooses the steps. Raises as `begin`."""
        try:
            apply_users(self, self.users)
        except RetryableError:
            # Should this fail as well, the error in hand matters more.
            with suppress(BridgeError):
                self.leave()
            raise
        self.save_report()

    def leave(self) -> None:
        """Count what was done of a page that is delivered again.

        Whom Braze has rejected or taken is not pushed again, and would not be counted.
        """
        self.context.ledger.count_rejected(self.message, self.applied.rejected)
        self.context.ledger.count(self.message.key, self.applied.counts)

    def commit(self) -> Applied:
        """Count the page as processed, and resolve what follows from it.

        The pages of a sync are committed one after the other, in the order in which
        they are delivered again: see `mark_processed`. Returns what the page has
        brought about.
        """
        context, message, cohort = self.context, self.message, self.cohort
        applied = self.applied
        if self.page and not self.page.processed:
            tally = Tally(
                applied.skipped,
                applied.rejected,
                applied.listed,
                applied.already_in,
                is_suspect=bool(applied.lost),
            )
            context.ledger.mark_processed(message, tally)
        resolution = commit_pages(context, message.key, applied.counts)
        applied.mislabelled += resolution.mislabelled not in {0, cohort.mislabelled}
        if 0 < cohort.rejected_in < message.seq:
            retry = RetryRejectedMessage(key=message.key, seq=message.seq)
            context.queue.send(retry)
        return applied

    def apply(self, users: Sequence[User]) -> None:
        """Apply the page to some of its users; safe to repeat."""
        self.context.need_time()
        members = self.record(users)
        push(
            self.context,
            self.message.key,
            self.cohort,
            members,
            self.applied,
            since=self.message.seq,
            reassert=self._reasserts(),
            is_replay=self.message.reassert,
        )
        stated = {listed.distinct_id for user in users for listed in user.profiles}
        self.rows += [
            ReportRow(member.key, distinct_id, *self.applied.outcomes[member.key])
            for member in members
            for distinct_id in stated & member.profiles.keys()
        ]

    def save_report(self, part: str = "") -> None:
        """Store the lines so far, as the report of the page or of a part of it."""
        message = self.message
        name = f"{message.action}-{message.page}{part}"
        if self.rows:
            self.context.reports.write(message.key, str(message.seq), name, self.rows)
        self.rows = []

    def record(self, users: Sequence[User]) -> list[Member]:
        """Record what the page states of some users; the members that change by it."""
        context, message, key = self.context, self.message, self.message.key
        statements = [
            Statement(
                listed.distinct_id,
                user.key,
                message.seq,
                message.action.present,
                listed.entry,
                listed.reason,
            )
            for user in users
            for listed in user.profiles
        ]
        places = self.places
        candidates = [
            {home(each.distinct_id, each.key), each.key} - {""}
            | places.get(each.distinct_id, Place()).keys
            for each in statements
        ]
        known = context.ledger.members(key, sorted(set().union(*candidates)))
        destination = context.route.destination()
        ledgered = Ledgered(dict(known), self.cohort, destination)
        moved: dict[str, Place] = {}
        asked = [*zip(statements, candidates, strict=True)]
        for statement, keys in self._without_lost(ledgered, asked):
            distinct_id = statement.distinct_id
            stands = ledgered.record(statement, keys)
            elsewhere = frozenset(stands - {home(distinct_id, statement.key)})
            before = places.get(distinct_id, Place())
            if elsewhere != before.keys:
                entry = statement.entry if statement.key else before.entry
                moved[distinct_id] = Place(elsewhere, entry)
        # Repeats first: they must be known before the page counts as processed. The
        # index before the members: no profile may stand where nobody looks for it.
        self._mark(ledgered.repeats)
        if moved:
            context.ledger.save_places(key, moved, is_first=not self.cohort.has_index)
            places.update(moved)
        self.applied.skipped.update(reason for _, reason in ledgered.skipped)
        self.applied.kept += ledgered.kept
        self.rows += [
            ReportRow(statement.key, statement.distinct_id, Outcome.SKIPPED, reason)
            for statement, reason in ledgered.skipped
        ]
        if message.action is Action.ADD:
            self.applied.listed += len(users)
            # Who was written since the sync began was written for it, by a process
            # that did not live to count the page.
            self.applied.already_in += sum(
                user.key in known
                and known[user.key].pushed_at < message.seq
                and known[user.key].confirmed_at(destination) is Confirmed.IN
                for user in users
            )
        return [ledgered.members[each] for each in ledgered.changed]

    def _without_lost(
        self, ledgered: Ledgered, asked: Sequence[Asked]
    ) -> Sequence[Asked]:
        """In a full sync, leave profiles where they stand if most lose an identifier.

        That most of them lose it at once is a fault of configuration, not of people:
        the exported property vanished, say.
        """
        if not self.sync.full:
            return asked
        lost = {
            statement.distinct_id
            for statement, keys in asked
            if ledgered.has_lost(
                statement, keys, self.places.get(statement.distinct_id, Place())
            )
        }
        if len(lost) < MIN_LOST or 2 * len(lost) <= len(asked):
            return asked
        self.applied.lost += len(lost)
        return [
            (replace(statement, key=""), keys)
            if statement.distinct_id in lost
            else (statement, keys)
            for statement, keys in asked
        ]

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


type Steps = Callable[[PageWork, Sequence[User]], None]
"""Applies users of a page in steps of its choice."""


def apply_page(context: Context, message: PageMessage, apply_users: Steps) -> Applied:
    """Carry out one page; safe to repeat, and to resume after any crash.

    Raises as `PageWork.begin` does.
    """
    work = PageWork.begin(context, message)
    work.run(apply_users)
    return work.commit()


def apply_in_steps(work: PageWork, users: Sequence[User]) -> None:
    """Apply a page in steps that make full calls."""
    for step in by_count(users, work.context.route.step):
        work.apply(step)


def by_user(listed: Iterable[Listed]) -> list[User]:
    """One entry a Braze user; a profile without an identifier has one to itself."""
    users: dict[str, User] = {}
    for each in listed:
        key = each.identifier.key if each.identifier else ""
        user = users.setdefault(key or f"?{each.distinct_id}", User(key, []))
        if each not in user.profiles:
            user.profiles.append(each)
    return list(users.values())


def _sync(context: Context, cohort: Cohort, message: PageMessage) -> Sync:
    for sync in cohort.syncs:
        if sync.seq == message.seq:
            return sync
    found = context.ledger.sync(message.key, message.seq)
    if found is None:
        raise PermanentError("sync_unknown", "the ledger holds no such sync")
    return found
