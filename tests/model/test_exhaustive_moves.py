"""Every history of two people whose identifiers move, are lost, or are shared.

In each sync each of the two is out, or in under one of two users that they may share,
or in under none, so that the distinct id stands in. The first sync is full; each of the
two that follow is a diff, which names only who joins or leaves, or a full one. There
are 16 x 16 x 16 memberships and 4 kinds: 16,384 histories, without faults. After each
sync Braze equals what Mixpanel has said so far, and has taken just the writes that lead
there: none is needless, and nobody passes by.
"""

from collections.abc import Iterator, Sequence
from itertools import product

import pytest

from bridge.cohorts.rules.identifiers import parse_sources
from tests.model.world import World
from tests.system.claims import record_claim

PEOPLE = ("p0", "p1")
OUT, NONE = "out", ""
STATES = (OUT, "x0", "x1", NONE)
KINDS = ("full", "diff")

type Membership = Sequence[str]
"""For each of the two: `OUT`, the user in Braze, or `NONE`."""

type History = tuple[Membership, Membership, Membership, Sequence[str]]


def histories() -> Iterator[History]:
    every = list(product(STATES, repeat=len(PEOPLE)))
    kinds = list(product(KINDS, repeat=2))
    for first, second, third in product(every, repeat=3):
        for pair in kinds:
            yield first, second, third, pair


def person(name: str, user: str) -> dict[str, object]:
    known = {"$braze_external_id": user} if user not in {OUT, NONE} else {}
    return {"mixpanel_distinct_id": name, **known}


class Walk:
    """One history; `stands` is the user whom Mixpanel last named for each person."""

    def __init__(self) -> None:
        self.world = World()
        self.world.sources = parse_sources(
            "external_id=$braze_external_id,external_id=mixpanel_distinct_id"
        )
        self.before: Membership = (OUT, OUT)
        self.stands: dict[str, str] = {}

    def sync(self, kind: str, now: Membership, number: int) -> None:
        """Send one sync and compare Braze, and what was written, with its words."""
        braze = self.world.braze
        held, calls = set(braze.members), len(braze.calls)
        people = list(zip(PEOPLE, self.before, now, strict=True))
        if kind == "full":
            named = [(who, user) for who, _, user in people if user != OUT]
            self.world.full(*(person(*each) for each in named), session=f"s{number}")
        else:
            named = [(w, user) for w, was, user in people if was == OUT != user]
            left = [person(w, OUT) for w, was, user in people if was != OUT == user]
            joined = [person(*each) for each in named]
            self.world.diff(joined, left, session=f"s{number}")
        self.stands |= {who: user or who for who, user in named}
        self.before = now
        expected = {self.stands[who] for who, _, user in people if user != OUT}
        written = [user for call in braze.calls[calls:] for user, _ in call]
        assert braze.members == expected
        assert sorted(written) == sorted(held ^ expected)


def check(every: int) -> None:
    chosen = list(histories())[::every]
    wrong = []
    for first, second, third, kinds in chosen:
        walk = Walk()
        try:
            walk.sync("full", first, 1)
            walk.sync(kinds[0], second, 2)
            walk.sync(kinds[1], third, 3)
        except AssertionError:
            wrong.append((first, second, third, kinds))
    record_claim(
        row="A-model, every history of identifiers that move",
        size=f"{len(chosen):,} of 16,384 histories of two people and three syncs",
        faults="identifiers move, are lost, are shared",
        claim="0 wrong, 0 needless writes",
        result=f"{len(wrong)} wrong or with a needless write",
    )
    assert wrong == []


def test_no_history_ends_wrong_or_writes_in_vain() -> None:
    assert len(list(histories())) == 16_384
    check(every=13)


@pytest.mark.soak
def test_nor_does_any_other() -> None:
    check(every=1)
