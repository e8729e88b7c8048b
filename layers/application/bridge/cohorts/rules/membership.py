"""Who is in a cohort, from what each sync states of each profile (pure).

A ledger of in and out alone could not take back what a failed sync stated; a ledger of
versions can.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import takewhile
from typing import NamedTuple


class Confirmed(StrEnum):
    """What Braze is known to hold of a member; `UNKNOWN` around every call.

    A `QUARANTINED` member crashed the process: only a replay pushes it.
    """

    IN = "in"
    OUT = "out"
    UNKNOWN = "unknown"
    QUARANTINED = "quarantined"

    @classmethod
    def of(cls, present: bool) -> "Confirmed":
        """What is known of a member after a call that succeeded."""
        return cls.IN if present else cls.OUT


type Versions = Mapping[int, bool]
"""What each sync states of one Mixpanel profile: seq → is a member."""


class Place(NamedTuple):
    """The keys under which a profile stands, its home left out.

    `entry` is the position in `Identifiers` of what gave the latest of them.
    """

    keys: frozenset[str] = frozenset()
    entry: int = 0


type Places = Mapping[str, Place]
"""The index of profiles, by distinct id."""


@dataclass(frozen=True, slots=True)
class Member:
    """One Braze user in one cohort; several Mixpanel profiles may resolve to it.

    `confirmed` is what `destination` holds, where the member was pushed at `pushed_at`
    ms. `rejected` is the reason for which Braze rejected that push, if it did: then
    `confirmed` is what it holds all the same. `braze_id` is the profile that a device
    was written by. `counted` is the count that the member belonged to before a call
    whose outcome is unknown.
    """

    key: str
    profiles: Mapping[str, Versions] = field(default_factory=dict)
    confirmed: Confirmed = Confirmed.UNKNOWN
    destination: str = ""
    pushed_at: int = 0
    rejected: str = ""
    braze_id: str = ""
    counted: str = ""

    def confirmed_at(self, destination: str) -> Confirmed:
        """What is known of the member there; of another destination nothing is."""
        if self.destination == destination or self.confirmed is Confirmed.QUARANTINED:
            return self.confirmed
        return Confirmed.UNKNOWN

    def is_due(self, day: int, days: int) -> bool:
        """Whether a rolling reassertion over `days` days reaches the member today."""
        digest = hashlib.sha256(self.key.encode()).digest()
        return int.from_bytes(digest[1:5]) % days == day % days

    def is_in(self, baseline: int, aborted: frozenset[int]) -> bool:
        """Effective membership: some profile's newest version in force says in."""
        return any(_newest(v, baseline, aborted) for v in self.profiles.values())


def _newest(versions: Versions, baseline: int, aborted: frozenset[int]) -> bool:
    in_force = [seq for seq in versions if seq >= baseline and seq not in aborted]
    return versions[max(in_force)] if in_force else False


def record_version(
    versions: Versions, seq: int, present: bool
) -> tuple[dict[int, bool], set[tuple[int, int]]]:
    """Record what sync `seq` states; also the pairs (later, earlier) that agree.

    An older sync never overwrites a newer one's version, whenever its page arrives, and
    a page applied twice changes nothing: each sync has a version of its own. No version
    between the two of a pair states the opposite.
    """
    before = sorted((other for other in versions if other < seq), reverse=True)
    after = sorted(other for other in versions if other > seq)
    pairs = set()
    for side in (before, after):
        for other in takewhile(lambda other: versions[other] == present, side):
            pairs.add((max(seq, other), min(seq, other)))
    return dict(versions) | {seq: present}, pairs


def prune(
    versions: Versions, baseline: int, aborted: Iterable[int], open_syncs: Iterable[int]
) -> dict[int, bool]:
    """Drop the versions that can never matter again.

    Those below the baseline or of aborted syncs count for nothing. Of the syncs that
    are no longer open, only the newest version can be in force.
    """
    aborted, open_syncs = frozenset(aborted), frozenset(open_syncs)
    kept = {
        s: says for s, says in versions.items() if s >= baseline and s not in aborted
    }
    newest_closed = max((seq for seq in kept if seq not in open_syncs), default=0)
    return {seq: says for seq, says in kept.items() if seq >= newest_closed}
