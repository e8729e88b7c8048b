"""Who is in a cohort, by what each sync said of whom (pure).

Only a ledger of versions, not of in and out, can take back what a failed sync had said.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import takewhile


class Confirmed(StrEnum):
    """What Braze is known to hold of a member; `UNKNOWN` around every call.

    `ASIDE` is one who ended the process: Braze is not told of him but by a replay.
    """

    IN = "in"
    OUT = "out"
    UNKNOWN = "unknown"
    QUARANTINED = "quarantined"


type Versions = Mapping[int, bool]
"""What each sync said of one Mixpanel profile: seq → is a member."""


@dataclass(frozen=True, slots=True)
class Member:
    """One Braze user in one cohort; several Mixpanel profiles may stand behind it.

    `confirmed` is true of `destination`, where the member was pushed at `pushed_at` ms.
    """

    key: str
    profiles: Mapping[str, Versions] = field(default_factory=dict)
    confirmed: Confirmed = Confirmed.UNKNOWN
    destination: str = ""
    pushed_at: int = 0

    def held_by(self, destination: str) -> Confirmed:
        """What is known of the member there; of another place nothing is."""
        if self.destination == destination or self.confirmed is Confirmed.QUARANTINED:
            return self.confirmed
        return Confirmed.UNKNOWN

    def is_due(self, day: int, days: int) -> bool:
        """Whether a rolling re-assertion over so many days has come to the member."""
        digest = hashlib.sha256(self.key.encode()).digest()
        return int.from_bytes(digest[1:5]) % days == day % days

    def is_in(self, baseline: int, aborted: frozenset[int]) -> bool:
        """Effective membership: some profile's newest version in force says in."""
        return any(_newest(v, baseline, aborted) for v in self.profiles.values())


def _newest(versions: Versions, baseline: int, aborted: frozenset[int]) -> bool:
    counted = [seq for seq in versions if seq >= baseline and seq not in aborted]
    return versions[max(counted)] if counted else False


def record_version(
    versions: Versions, seq: int, present: bool
) -> tuple[dict[int, bool], set[tuple[int, int]]]:
    """Write what sync `seq` says; also the pairs (later, earlier) that say the same.

    An older sync never overwrites a newer one's version, whenever its page comes, and
    a page seen twice changes nothing: each sync has a version of its own. No pair has a
    version between its two that says the opposite.
    """
    before = sorted((other for other in versions if other < seq), reverse=True)
    after = sorted(other for other in versions if other > seq)
    pairs = set()
    for side in (before, after):
        for other in takewhile(lambda other: versions[other] == present, side):
            pairs.add((max(seq, other), min(seq, other)))
    return dict(versions) | {seq: present}, pairs


def prune(
    versions: Versions, baseline: int, aborted: Iterable[int], undecided: Iterable[int]
) -> dict[int, bool]:
    """Drop versions that can never matter again.

    What is below the floor or dead counts for nothing; of what the decided syncs said
    only the newest can be in force.
    """
    aborted, undecided = frozenset(aborted), frozenset(undecided)
    kept = {
        s: said for s, said in versions.items() if s >= baseline and s not in aborted
    }
    newest_decided = max((seq for seq in kept if seq not in undecided), default=0)
    return {seq: said for seq, said in kept.items() if seq >= newest_decided}
