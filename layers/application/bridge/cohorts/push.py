"""Bring Braze to what the ledger says, one message at a time.

Intent is written before each call to Braze and confirmation after it, so that a crash,
a time-out or a lost answer in between leaves `unknown`, which is asserted again. What
Braze already holds is never sent: there, every write is billed, changed or not.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from bridge.chunking import by_count
from bridge.cohorts.identity import Identifier, Matched
from bridge.cohorts.membership import (
    Cohort,
    Confirmed,
    Member,
    judge,
    prune,
    touch,
)
from bridge.cohorts.message import CohortKey, Message, PageMessage, SettleMessage
from bridge.cohorts.ports import Ledger, PageStore, Queue, Route
from bridge.errors import PermanentError, RetryableError

STEP = 300
"""Members per step: four calls of 75 to Braze, three reads of 100 of the ledger."""

MARGIN_SECONDS = 20.0
"""No step begins with less time than this; the rest goes back to the queue."""

JUDGE_TRIES = 8
"""The webhook writes to the cohort meanwhile; the loser of a race looks again."""

MAX_PROFILES = 500
"""Mixpanel profiles behind one Braze user; more is a shared id, not a person."""


@dataclass(slots=True)
class Pushed:
    """What one message brought about, for the metrics."""

    pushed: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Pusher:
    """The consumer's work, on ports; `time_left` gives seconds."""

    ledger: Ledger
    pages: PageStore
    queue: Queue
    route: Route
    time_left: Callable[[], float]

    def handle(self, message: Message) -> Pushed:
        """Carry out one message; safe to repeat, and to resume after any crash.

        Raises `RetryableError` when it has to come again and `PermanentError` when its
        page is gone.
        """
        if isinstance(message, PageMessage):
            return self._page(message)
        return self._settle(message)

    def _page(self, message: PageMessage) -> Pushed:
        done = Pushed()
        cohort = self.ledger.cohort(message.key)
        sync = self.ledger.sync(message.key, message.seq)
        if sync is None:
            raise PermanentError("sync_unknown", "the ledger holds no such sync")
        if message.page in sync.processed.get(message.action, ()):
            self._judge(message.key)
            return done
        repeats: set[tuple[int, int]] = set()
        # What is dead or below the floor counts for nothing. Any other page, however
        # late, fills in what nothing newer has touched.
        if not sync.dead and message.seq >= cohort.floor:
            members = _by_user(self.pages.get(message.key, message.digest))
            for step in by_count(members, STEP):
                self._need_time()
                touched, pairs = self._touch(message, cohort, step, done)
                repeats |= pairs
                self._apply(message.key, cohort, touched, done)
        self.ledger.mark_processed(message, repeats, done.skipped + done.rejected)
        self._judge(message.key)
        return done

    def _touch(
        self,
        message: PageMessage,
        cohort: Cohort,
        step: Sequence[tuple[Identifier, list[str]]],
        done: Pushed,
    ) -> tuple[list[Member], set[tuple[int, int]]]:
        """Write the page's word into the members, in memory."""
        keys = [identifier.key for identifier, _ in step]
        known = self.ledger.members(message.key, keys)
        undecided = [sync.seq for sync in cohort.syncs]
        touched: list[Member] = []
        repeats: set[tuple[int, int]] = set()
        for key, (_, distinct_ids) in zip(keys, step, strict=True):
            member = known.get(key, Member(key))
            profiles = dict(member.profiles)
            for distinct_id in distinct_ids:
                if distinct_id not in profiles and len(profiles) >= MAX_PROFILES:
                    done.skipped["shared_identifier"] += 1
                    continue
                versions, pairs = touch(
                    profiles.get(distinct_id, {}), message.seq, message.action.present
                )
                repeats |= pairs
                profiles[distinct_id] = prune(
                    versions, cohort.floor, cohort.dead, undecided
                )
            touched.append(replace(member, profiles=profiles))
        return touched, repeats

    def _apply(
        self, key: CohortKey, cohort: Cohort, members: Sequence[Member], done: Pushed
    ) -> None:
        """Save members, telling Braze of those whose membership it does not hold."""
        changes: list[tuple[Member, bool]] = []
        for member in members:
            wanted = member.is_in(cohort.floor, cohort.dead)
            if member.confirmed is not _confirmed(wanted):
                changes.append((member, wanted))
        intents = {m.key: replace(m, confirmed=Confirmed.UNKNOWN) for m, _ in changes}
        self.ledger.save(key, [intents.get(m.key, m) for m in members])
        if not changes:
            return
        results = self.route.push(
            key.cohort,
            cohort.name,
            [(Identifier.from_key(m.key), wanted) for m, wanted in changes],
        )
        confirmed: list[Member] = []
        for (member, wanted), refused in zip(changes, results, strict=True):
            confirmed.append(replace(member, confirmed=_confirmed(wanted)))
            if refused:
                done.rejected[refused] += 1
            else:
                done.pushed += 1
        self.ledger.save(key, confirmed)

    def _judge(self, key: CohortKey) -> None:
        """Write what the pages so far amount to, and start settling where it tells.

        The settling is sent before the verdict is written: should we die in between,
        this message comes again and, being ahead in the group, writes it in time.
        """
        for _ in range(JUDGE_TRIES):
            cohort = self.ledger.cohort(key)
            verdict = judge(cohort)
            if not (verdict.settle or verdict.finished):
                return
            if verdict.settle:
                dead = tuple(sorted(cohort.dead | verdict.died))
                self.queue.send(SettleMessage(key=key, floor=verdict.floor, dead=dead))
            if self.ledger.advance(key, cohort, verdict):
                return
        raise RetryableError("ledger_contention", "the cohort changes all the time")

    def _settle(self, message: SettleMessage) -> Pushed:
        """Push every member whose effective value is not the confirmed one."""
        done = Pushed()
        cohort = self.ledger.cohort(message.key)
        undecided = [sync.seq for sync in cohort.syncs]
        shard, after = message.shard, message.after
        while shard < self.ledger.shards:
            if self.time_left() < MARGIN_SECONDS:
                self.queue.send(
                    message.model_copy(update={"shard": shard, "after": after})
                )
                return done
            found = self.ledger.scan(message.key, shard, after, STEP)
            pruned = [_pruned(member, cohort, undecided) for member in found]
            pairs = zip(found, pruned, strict=True)
            changed = [new for old, new in pairs if _differs(old, new, cohort)]
            self._apply(message.key, cohort, changed, done)
            if len(found) < STEP:
                shard, after = shard + 1, ""
            else:
                after = found[-1].key
        self.ledger.settled(message.key, message.dead)
        return done

    def _need_time(self) -> None:
        if self.time_left() < MARGIN_SECONDS:
            raise RetryableError("out_of_time", "the rest follows in the next run")


def _confirmed(wanted: bool) -> Confirmed:
    return Confirmed.IN if wanted else Confirmed.OUT


def _by_user(members: Iterable[Matched]) -> list[tuple[Identifier, list[str]]]:
    """One entry a Braze user, with the profiles of the page that share the user."""
    users: dict[Identifier, list[str]] = {}
    for member in members:
        profiles = users.setdefault(member.identifier, [])
        if member.distinct_id not in profiles:
            profiles.append(member.distinct_id)
    return list(users.items())


def _pruned(member: Member, cohort: Cohort, undecided: list[int]) -> Member:
    profiles = {
        distinct_id: kept
        for distinct_id, versions in member.profiles.items()
        if (kept := prune(versions, cohort.floor, cohort.dead, undecided))
    }
    return replace(member, profiles=profiles)


def _differs(old: Member, new: Member, cohort: Cohort) -> bool:
    wanted = new.is_in(cohort.floor, cohort.dead)
    return new.profiles != old.profiles or new.confirmed is not _confirmed(wanted)
