"""Where a Mixpanel profile stands in the ledger, and how it moves (pure).

Mixpanel speaks of profiles, Braze of users. What a page states of a profile applies
wherever that profile stands: if it now resolves to another identifier, it moves, out
under the old one and in under the new one. A removal needs no identifier, and never
changes a user under whom the profile does not stand.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from bridge.cohorts.rules.identifiers import Identifier, Kind, identify
from bridge.cohorts.rules.membership import (
    Confirmed,
    Member,
    Place,
    Versions,
    prune,
    record_version,
)
from bridge.cohorts.rules.model import Cohort
from bridge.reasons import Reason

MIN_LOST = 20
"""Profiles: of fewer, the loss of an identifier is an affair of people."""

MAX_PROFILE_BYTES = 200_000
"""Of the Mixpanel profiles behind one Braze user; more is a shared id, not a person,
and DynamoDB takes 400 KB an item."""

VERSIONS_BYTES = 200
"""About what the versions of one profile take."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What a page of sync `seq` states of one profile.

    `key` is the ledger's key of the identifier that the profile resolves to, by the
    entry number `entry` of `Identifiers`. It is empty where the profile resolves to
    none; `reason` says why.
    """

    distinct_id: str
    key: str
    seq: int
    present: bool
    entry: int = 0
    reason: str = ""


def home(distinct_id: str, key: str) -> str:
    """The key under which a profile is found without the index.

    That is its distinct id as an identifier. The cohort import has no profiles: there
    the identifier itself stands for one.
    """
    if key == distinct_id:
        return key
    own = identify(Kind.EXTERNAL_ID, distinct_id)
    return own.key if isinstance(own, Identifier) else ""


@dataclass(slots=True)
class Ledgered:
    """The members that a step has read and changes, by key.

    `changed` are the keys of those to be written, `repeats` pairs (later, earlier) of
    syncs that state the same change. `skipped` are statements that have no effect, with
    the reason, and `kept` counts profiles that keep the identifier they stand under for
    want of one.
    """

    members: dict[str, Member]
    cohort: Cohort
    destination: str
    changed: dict[str, None] = field(default_factory=dict)
    repeats: set[tuple[int, int]] = field(default_factory=set)
    skipped: list[tuple[Statement, str]] = field(default_factory=list)
    kept: int = 0

    def record(self, statement: Statement, places: Collection[str]) -> set[str]:
        """Record a statement; the keys under which the profile then stands.

        `places` are those under which it may stand so far.
        """
        distinct_id = statement.distinct_id
        standing = self._standing(distinct_id, places)
        target = self._target(statement, standing)
        if not target:
            reason = statement.reason or Reason.NO_IDENTIFIER
            self.skipped.append((statement, reason))
            return standing
        if not self._has_room(target, distinct_id):
            self.skipped.append((statement, Reason.SHARED_IDENTIFIER))
            return standing
        timeline = _timeline(self._profiles(key)[distinct_id] for key in standing)
        _, pairs = record_version(timeline, statement.seq, statement.present)
        self.repeats |= pairs
        for key in standing - {target}:
            self._write(key, statement, present=False)
        self._write(target, statement, present=statement.present)
        # A newer sync has moved the profile on: this page came late.
        later = {seq: False for seq in timeline if seq > statement.seq}
        self._fill_in(target, distinct_id, later)
        return standing | {target}

    def has_lost(
        self, statement: Statement, places: Collection[str], at: Place
    ) -> bool:
        """Whether a profile that stands has no identifier now, or only a lesser one."""
        standing = self._standing(statement.distinct_id, places)
        if not standing or not statement.present:
            return False
        is_lesser = bool(standing & at.keys) and statement.entry > at.entry
        return not statement.key or (is_lesser and statement.key not in at.keys)

    def _target(self, statement: Statement, standing: set[str]) -> str:
        """The key under which the statement is recorded; empty to skip it."""
        if standing and not (statement.present and statement.key):
            if statement.present:
                self.kept += 1
            by_age = sorted(standing, key=lambda key: self._age(key, statement))
            return by_age[-1]
        return statement.key

    def _age(self, key: str, statement: Statement) -> tuple[int, int, str]:
        """Orders the places of a profile; it stands under the last."""
        versions = self._profiles(key)[statement.distinct_id]
        stated_in = max((seq for seq, says in versions.items() if says), default=0)
        return stated_in, max(versions, default=0), key

    def _standing(self, distinct_id: str, places: Collection[str]) -> set[str]:
        """Those of the places under which the profile does stand."""
        return {key for key in places if distinct_id in self._profiles(key)}

    def _profiles(self, key: str) -> Mapping[str, Versions]:
        member = self.members.get(key)
        return member.profiles if member else {}

    def _write(self, key: str, statement: Statement, *, present: bool) -> None:
        profiles = self._profiles(key)
        versions, _ = record_version(
            profiles.get(statement.distinct_id, {}), statement.seq, present
        )
        self._put(key, statement.distinct_id, versions)

    def _fill_in(self, key: str, distinct_id: str, later: Versions) -> None:
        versions = self._profiles(key)[distinct_id]
        if missing := {s: says for s, says in later.items() if s not in versions}:
            self._put(key, distinct_id, {**versions, **missing})

    def _put(self, key: str, distinct_id: str, versions: Versions) -> None:
        cohort = self.cohort
        open_syncs = [sync.seq for sync in cohort.syncs]
        kept = prune(versions, cohort.baseline, cohort.aborted, open_syncs)
        # Braze holds nothing of a member that the ledger does not know.
        unknown = Member(key, confirmed=Confirmed.OUT, destination=self.destination)
        member = self.members.get(key, unknown)
        profiles = {**member.profiles, distinct_id: kept}
        self.members[key] = replace(member, profiles=profiles)
        self.changed[key] = None

    def _has_room(self, key: str, distinct_id: str) -> bool:
        profiles = self._profiles(key)
        size = sum(map(_size, {*profiles, distinct_id}))
        return distinct_id in profiles or size <= MAX_PROFILE_BYTES


def _timeline(places: Iterable[Versions]) -> dict[int, bool]:
    """What each sync states of a profile, wherever it stood."""
    timeline: dict[int, bool] = {}
    for versions in places:
        for seq, says in versions.items():
            timeline[seq] = timeline.get(seq, False) or says
    return timeline


def _size(distinct_id: str) -> int:
    return len(distinct_id.encode()) + VERSIONS_BYTES
