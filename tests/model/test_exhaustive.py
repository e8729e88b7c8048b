"""Every history of two people with a fault or two: Braze equals Mixpanel.

Enumerated is, for each sync, each of the four memberships that two people can have
(each page holds one of them), and at each call of the syncs each set of faults out of:

    the sender dies before the call (alone)
    the last answer is lost for good (at the last call of a sync)
    the answer is lost, and the call comes again
    Braze fails before it applies; Braze fails once it has applied
    the consumer dies before it marks the page as processed
    the consumer dies at the very end, and the message comes twice
    the message goes to the dead-letter queue and is redriven after the next sync,
        or after the last (not both)

with at most so many faults in the whole history. A history ends with one clean sync if
its last one failed. Braze is compared after every sync that Mixpanel counts, as soon as
no message is late. Of four syncs there are 16,896 histories with at most one fault and
524,768 with at most two; of three syncs 67,680 with at most two.

Where the last answer of a sync is lost and the next sync repeats none of its changes,
two truths send the same messages; only such histories may end wrong.
"""

from functools import cache

import pytest

from sandbox.mixpanel import NAMED_DIALECTS
from tests.model.histories import CHOICES, FAULTS, UNSEEN, Walk, choices
from tests.system.claims import record_claim

SMALL = [
    ("documented", 1, 4, None, 16_896),
    ("documented", 2, 3, None, 67_680),
    ("documented", 1, 4, 2, 15_104),
    ("own sessions", 1, 4, None, 16_896),
    ("scenario", 1, 4, None, 18_944),
]
LONG = [
    ("documented", 2, 4, None, 524_768),
    ("own sessions", 2, 4, None, 524_768),
    ("common total", 2, 4, None, 524_768),
    ("scenario", 2, 4, None, 667_104),
]


def check(walk: Walk, name: str, histories: int) -> None:
    tally = walk.run()
    expires = "" if walk.expires_at is None else ", the snapshot expires"
    record_claim(
        row=f"A-model, every history: {name}",
        size=f"{tally.histories:,} histories of two people and {walk.syncs} syncs"
        + expires,
        faults=f"every choice of at most {walk.faults}",
        claim="0 wrong but where Mixpanel never saw our last answer",
        result=f"{tally.wrong} wrong, but for {tally.excused:,} of the "
        f"{tally.with_lost:,} with a lost last answer",
    )
    assert walk.wrong == []
    assert tally.histories == counted(walk) == histories
    assert 0 < tally.excused < tally.with_lost


def counted(walk: Walk) -> int:
    """The number of histories, without a receiver: nothing is left out by the walk."""

    @cache
    def behind(snapshot: frozenset[str] | None, number: int, left: int) -> int:
        if number == walk.syncs:
            return 1
        if number == walk.expires_at:
            snapshot = None
        total = 0
        for members in CHOICES:
            calls = len(walk.planned(snapshot, members, number))
            ways = {left: 1}
            for at in range(calls):
                onward: dict[int, int] = {}
                for rest, times in ways.items():
                    for faults in choices(rest, final=at == calls - 1):
                        after = rest - len(faults)
                        if set(faults) <= set(FAULTS):
                            onward[after] = onward.get(after, 0) + times
                        else:
                            total += times * behind(snapshot, number + 1, after)
                ways = onward
            for rest, times in ways.items():
                total += times * behind(members, number + 1, rest)
        return total

    return behind(None, 0, walk.faults)


@pytest.mark.parametrize(("name", "faults", "syncs", "expires_at", "histories"), SMALL)
def test_no_history_ends_wrong_that_a_receiver_could_see(
    name: str,
    faults: int,
    syncs: int,
    expires_at: int | None,
    histories: int,
) -> None:
    walk = Walk(NAMED_DIALECTS[name], faults, syncs, expires_at)
    check(walk, name, histories)


@pytest.mark.soak
@pytest.mark.parametrize(("name", "faults", "syncs", "expires_at", "histories"), LONG)
def test_nor_does_one_with_two_faults_in_four_syncs(
    name: str,
    faults: int,
    syncs: int,
    expires_at: int | None,
    histories: int,
) -> None:
    walk = Walk(NAMED_DIALECTS[name], faults, syncs, expires_at)
    check(walk, name, histories)


def test_a_walk_would_notice_a_sync_that_is_not_rolled_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "bridge.cohorts.apply.page.record_version",
        lambda versions, seq, present: (
            dict(versions) | {seq: present},
            set[tuple[int, int]](),
        ),
    )
    walk = Walk(NAMED_DIALECTS["documented"], 1, 3)
    assert walk.run().wrong > 0
    assert UNSEEN in "".join(walk.wrong[0])
