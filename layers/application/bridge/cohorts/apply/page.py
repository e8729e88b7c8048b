"""Write what a page says into its members and push them (a page message).

A page that ends its process again and again, for want of memory or by an endless loop,
would hold up its cohort: it is cut smaller and smaller until the member that does it is
alone, and that one is put aside.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from bridge.chunking import by_count
from bridge.cohorts.apply.push import Pushed, Pusher
from bridge.cohorts.messages import PageMessage
from bridge.cohorts.pages import write_page
from bridge.cohorts.ports import Progress
from bridge.cohorts.rules.completeness import repeats as repetition_counts
from bridge.cohorts.rules.identifiers import Identifier, Matched
from bridge.cohorts.rules.membership import Confirmed, Member, prune, record_version
from bridge.cohorts.rules.model import Cohort, Sync
from bridge.errors import BridgeError, PermanentError, RetryableError

MAX_PROFILE_BYTES = 200_000
"""Of the Mixpanel profiles behind one Braze user; more is a shared id, not a person,
and DynamoDB takes 400 KB an item."""

VERSIONS_BYTES = 200
"""About what the versions of one profile take."""

FRESH_MS = 86_400_000
"""Who was pushed within a day is not asserted again by a full sync."""

SUSPECT_RECEIPTS = 4
"""A page that was received so often is watched for ending its process."""

CRASHES = 2
SHRINK_FACTOR = 4
"""So many crashes at one step cut it to a fourth."""

type User = tuple[Identifier, list[str]]


def apply_page(pusher: Pusher, message: PageMessage, received: int) -> Pushed:
    """Carry out one page; safe to repeat, and to resume after any crash.

    `received` is how often the queue gave the message out. Raises `RetryableError` when
    it has to come again and `PermanentError` when its page is gone.
    """
    done = Pushed()
    key = message.key
    cohort = pusher.ledger.cohort(key)
    sync = _sync(pusher, cohort, message)
    if message.page not in sync.processed.get(message.action, ()):
        # What is dead or below the floor counts for nothing. Any other page, however
        # late, fills in what nothing newer has touched.
        if message.reassert or (not sync.aborted and message.seq >= cohort.baseline):
            pusher.address(key, cohort, done)
            users = by_user(pusher.pages.get(key, message.digest))
            work = _Page(pusher, message, cohort, sync, done)
            try:
                if received < SUSPECT_RECEIPTS:
                    for step in by_count(users, pusher.route.step):
                        work.step(step)
                else:
                    work.apply_in_shrinking_steps(users)
            except RetryableError:
                # The page comes again, whom Braze has refused of it does not. What
                # has to be told is why it waits, even if this cannot be written.
                with suppress(BridgeError):
                    pusher.ledger.count_rejected(message, done.rejected)
                raise
        pusher.ledger.mark_processed(message, done.skipped + done.rejected)
    pusher.resolve(key)
    return done


def _sync(pusher: Pusher, cohort: Cohort, message: PageMessage) -> Sync:
    for sync in cohort.syncs:
        if sync.seq == message.seq:
            return sync
    found = pusher.ledger.sync(message.key, message.seq)
    if found is None:
        raise PermanentError("sync_unknown", "the ledger holds no such sync")
    return found


@dataclass(frozen=True, slots=True)
class _Page:
    """One page in hand."""

    pusher: Pusher
    message: PageMessage
    cohort: Cohort
    sync: Sync
    done: Pushed

    def step(self, users: Sequence[User]) -> None:
        """Touch and push some users of the page."""
        pusher, message = self.pusher, self.message
        pusher.need_time()
        keys = [identifier.key for identifier, _ in users]
        known = pusher.ledger.members(message.key, keys)
        recorded: list[Member] = []
        repeats: set[tuple[int, int]] = set()
        for key, (_, distinct_ids) in zip(keys, users, strict=True):
            old = known.get(key, Member(key))
            new = self._recorded(old, distinct_ids, repeats)
            recorded.append(new)
        # Repeats first: the page is not processed before they are known.
        self._mark(repeats)
        pusher.apply(
            message.key,
            self.cohort,
            recorded,
            self.done,
            self._reasserts(),
            replays=message.reassert,
        )

    def _recorded(
        self, member: Member, distinct_ids: Iterable[str], repeats: set[tuple[int, int]]
    ) -> Member:
        """The member with the page's word in it."""
        message, cohort = self.message, self.cohort
        undecided = [sync.seq for sync in cohort.syncs]
        profiles = dict(member.profiles)
        size = sum(map(_size, profiles))
        for distinct_id in distinct_ids:
            if distinct_id not in profiles:
                size += _size(distinct_id)
                if size > MAX_PROFILE_BYTES:
                    self.done.skipped["shared_identifier"] += 1
                    continue
            versions, pairs = record_version(
                profiles.get(distinct_id, {}), message.seq, message.action.present
            )
            repeats |= pairs
            profiles[distinct_id] = prune(
                versions, cohort.baseline, cohort.aborted, undecided
            )
        return replace(member, profiles=profiles)

    def _mark(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Keep which diffs say again what an undecided one has said."""
        known = {sync.seq: sync.repeats for sync in self.cohort.syncs}
        news = {
            (later, earlier)
            for later, earlier in pairs
            if repetition_counts(self.cohort, later, earlier)
            and earlier not in known[later]
        }
        if news:
            self.pusher.ledger.mark_repeats(self.message.key, news)

    def _reasserts(self) -> Callable[[Member], bool]:
        """A full sync asserts everybody again: Braze ignores whom it does not know."""
        stale = int(self.pusher.clock() * 1000) - FRESH_MS
        asserts = self.sync.full and self.pusher.policy.reassert_days > 0
        again = self.message.reassert
        return lambda member: again or (asserts and member.pushed_at < stale)

    def apply_in_shrinking_steps(self, users: Sequence[User]) -> None:
        """Go on where a crash left off, in smaller steps after each second crash."""
        ledger, message = self.pusher.ledger, self.message
        progress = ledger.progress(message)
        while progress.done < len(users):
            size = progress.size or self.pusher.route.step
            if progress.tries >= CRASHES and size == 1:
                self._quarantine(users[progress.done], progress.done)
                progress = Progress(progress.done + 1)
                continue
            if progress.tries >= CRASHES:
                progress = Progress(progress.done, max(1, size // SHRINK_FACTOR))
                continue
            begun = replace(progress, size=size, tries=progress.tries + 1)
            ledger.save_progress(message, begun)
            try:
                self.step(users[progress.done : progress.done + size])
            except BridgeError:
                ledger.save_progress(message, progress)
                raise
            progress = Progress(progress.done + size, size)

    def _quarantine(self, user: User, number: int) -> None:
        """Keep one member as a page of its own, which a replay can bring back.

        In the ledger it is marked, so that no later scan of the cohort tells of it.
        """
        identifier, distinct_ids = user
        pusher = self.pusher
        known = pusher.ledger.members(self.message.key, [identifier.key])
        member = self._recorded(
            known.get(identifier.key, Member(identifier.key)), distinct_ids, set()
        )
        marked = replace(member, confirmed=Confirmed.QUARANTINED)
        pusher.ledger.save(self.message.key, [marked])
        content = write_page([Matched(each, identifier) for each in distinct_ids])
        digest = hashlib.sha256(content).hexdigest()[:32]
        pusher.pages.put(self.message.key, digest, content)
        alone = self.message.model_copy(
            update={
                "page": f"{self.message.page}.{number}",
                "digest": digest,
                "reassert": True,
            }
        )
        pusher.quarantine(alone, "crash_poison")
        self.done.rejected["crash_poison"] += 1


def _size(distinct_id: str) -> int:
    return len(distinct_id.encode()) + VERSIONS_BYTES


def by_user(members: Iterable[Matched]) -> list[User]:
    """One entry a Braze user, with the profiles of the page that share the user."""
    users: dict[Identifier, list[str]] = {}
    for member in members:
        profiles = users.setdefault(member.identifier, [])
        if member.distinct_id not in profiles:
            profiles.append(member.distinct_id)
    return list(users.items())
