"""Every history of two visitors who are known by their devices, and may log in.

In each of three syncs each of the two is out of Mixpanel's cohort, or in it as a
device, or as the user; before the second sync or the third each may log in at Braze: as
a new user, as one who is known already, or both as the same. The first sync is full;
the two that follow are diffs or full ones. There are 9 x 9 x 9 memberships, 4 kinds, 9
log-ins and 3 sorts of user: 78,732 histories, less those in which Mixpanel names a user
whom Braze does not know yet. After each sync Braze equals Mixpanel, and nobody was
moved on the way: rule 14.
"""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

import pytest

from bridge.cohorts.routes import attribute
from tests.model.visitors import DEVICE, ProfiledBraze, VisitorWorld, needless, wrong
from tests.system.claims import record_claim

OUT, AS_DEVICE, AS_USER = "out", "device", "user"
KINDS = ("full", "diff")
NEVER = 3
NEW, KNOWN, SAME = "new users", "known users", "the same user"


class History(NamedTuple):
    """Memberships by sync, kinds of the later syncs, and before which each logs in."""

    memberships: Sequence[Sequence[str]]
    kinds: Sequence[str]
    log_ins: Sequence[int]
    users: str

    @property
    def possible(self) -> bool:
        """Mixpanel names no user whom Braze does not know yet."""
        return self.users != NEW or all(
            number >= self.log_ins[person]
            for number, membership in enumerate(self.memberships)
            for person, state in enumerate(membership)
            if state == AS_USER
        )


def histories() -> Iterator[History]:
    every = list(product((OUT, AS_DEVICE, AS_USER), repeat=2))
    log_ins = list(product((1, 2, NEVER), repeat=2))
    for memberships in product(every, repeat=3):
        for kinds in product(KINDS, repeat=2):
            for when in log_ins:
                for users in (NEW, KNOWN, SAME):
                    history = History(memberships, kinds, when, users)
                    if history.possible:
                        yield history


def fault(history: History) -> str:
    """What is wrong after the first sync that leaves anything wrong, or nothing."""
    world = VisitorWorld()
    braze = world.profiled
    names = ("u0", "u0") if history.users == SAME else ("u0", "u1")
    if history.users != NEW:
        for name in dict.fromkeys(names):
            braze.workspace.add_user(name)
    visitors = {
        f"{DEVICE}d{person}": braze.workspace.add_user(devices=[f"d{person}"]).braze_id
        for person in (0, 1)
    }
    before, known, written = set[str](), set[str](), set[str]()
    for number, membership in enumerate(history.memberships):
        for person in (0, 1):
            if history.log_ins[person] == number:
                braze.workspace.log_in(f"d{person}", names[person])
        listed = {
            f"{DEVICE}d{person}" if state == AS_DEVICE else names[person]
            for person, state in enumerate(membership)
            if state != OUT
        }
        held, since = braze.holders, len(braze.writes)
        session = f"s{number}"
        if not number or history.kinds[number - 1] == "full":
            world.full(*sorted(listed), session=session)
        else:
            joined, left = sorted(listed - before), sorted(before - listed)
            world.diff(joined, left, session=session)
        known |= listed
        # Written while its visitor is anonymous; no more once a user is named out.
        written = {
            each
            for each in listed & visitors.keys()
            if each in written or is_anonymous(braze, each)
        }
        carried = {
            profile.braze_id: written
            for profile in braze.workspace.profiles
            if profile.braze_id in held and profile.external_id not in before
        }
        if ends_wrong := wrong(braze, listed, visitors, carried):
            return f"sync {number}: {sorted(ends_wrong)} wrong"
        if moved := needless(braze, braze.writes[since:], known):
            return f"sync {number}: needless {moved}"
        before = listed
    return ""


def is_anonymous(braze: ProfiledBraze, device: str) -> bool:
    profile = braze.workspace.find("device", device.removeprefix(DEVICE))
    return profile is not None and not profile.external_id


def check(every: int) -> None:
    chosen = [each for at, each in enumerate(histories()) if at % every == 0]
    faults = [(each, found) for each in chosen if (found := fault(each))]
    record_claim(
        row="A-model, every history of devices that are identified",
        size=f"{len(chosen):,} of 58,264 histories of two visitors and three syncs",
        faults="visitors log in as new, as known and as the same user",
        claim="0 wrong, 0 needless moves",
        result=f"{len(faults)} wrong or with a needless move",
    )
    assert faults == []


def test_no_history_of_visitors_ends_wrong_or_moves_anybody_in_vain() -> None:
    check(every=97)


BOTH, NOBODY = (AS_DEVICE, AS_DEVICE), (OUT, OUT)
FIRST, SECOND = (AS_DEVICE, OUT), (OUT, AS_DEVICE)


@pytest.mark.parametrize(
    "history",
    [
        History([SECOND, FIRST, NOBODY], ("full", "full"), (1, 1), SAME),
        History([SECOND, FIRST, NOBODY], ("diff", "full"), (1, 2), SAME),
        History([BOTH, FIRST, SECOND], ("full", "diff"), (2, 2), SAME),
    ],
)
def test_a_device_that_was_not_written_keeps_nobody_in(history: History) -> None:
    """The user of two devices leaves with the one that made a member of the visitor."""
    assert fault(history) == ""


@pytest.mark.soak
def test_nor_does_any_other() -> None:
    check(every=1)


def test_a_history_would_notice_a_device_that_is_not_taken_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As it was before rule 14: no user was looked for by a device."""
    history = History([(AS_DEVICE, OUT), (OUT, OUT), (OUT, OUT)], KINDS, (1, 3), NEW)
    assert not fault(history)
    monkeypatch.setattr(
        attribute,
        "holders",
        lambda braze, change: [
            each
            for each in braze.find_device(change.identifier.value)
            if "external_id" not in each
        ],
    )
    assert fault(history) == "sync 1: ['u0'] wrong"
