"""A batch is halved until whatever Braze rejects stands alone."""

from collections.abc import Sequence
from threading import Barrier, Event, active_count

import pytest

from bridge.braze.users_track import TrackReply
from bridge.cohorts.routes.halving import CallSize, Reasons, send_in_calls
from bridge.errors import Rejected, RetryableError, TooMany
from bridge.parallel import threads


class Braze:
    """Rejects every batch that holds the item `odd`, in the way `how`."""

    def __init__(self, odd: str = "", how: str = "") -> None:
        self.odd, self.how = odd, how
        self.sent: list[list[str]] = []

    def __call__(self, items: Sequence[str]) -> TrackReply:
        self.sent.append([*items])
        if self.odd not in items:
            return TrackReply({})
        if self.how == "vague":
            return TrackReply({}, vague=True)
        if self.how == "named":
            return TrackReply({items.index(self.odd): "named"})
        raise Rejected("whole_call")


def reasons_of(braze: Braze, items: str) -> Reasons:
    found: dict[str, str | None] = {}

    def sent(batch: Sequence[str], reasons: Reasons) -> None:
        assert not found.keys() & set(batch)
        found.update(zip(batch, reasons, strict=True))

    send_in_calls([*items], CallSize(75), braze, sent)
    return [found[item] for item in items]


def test_a_batch_that_braze_takes_is_sent_once() -> None:
    braze = Braze()
    assert reasons_of(braze, "abcd") == [None] * 4
    assert braze.sent == [[*"abcd"]]


def test_nothing_is_sent_for_nothing() -> None:
    braze = Braze()
    assert reasons_of(braze, "") == []
    assert braze.sent == []


@pytest.mark.parametrize(
    ("how", "reason"), [("vague", "braze_rejected"), ("raises", "whole_call")]
)
@pytest.mark.parametrize("odd", [*"abcde"])
def test_an_item_that_braze_does_not_name_is_found(
    how: str, reason: str, odd: str
) -> None:
    braze = Braze(odd, how)
    assert reasons_of(braze, "abcde") == [
        reason if item == odd else None for item in "abcde"
    ]
    accepted = [item for batch in braze.sent if odd not in batch for item in batch]
    assert sorted(accepted) == sorted(set("abcde") - {odd}), "each once"


def test_an_item_that_braze_names_needs_no_second_call() -> None:
    braze = Braze("c", "named")
    assert reasons_of(braze, "abcd") == [None, None, "named", None]
    assert len(braze.sent) == 1


def ignored(batch: Sequence[object], reasons: Reasons) -> None:
    pass


def test_an_outage_is_raised() -> None:
    def fail(_: Sequence[str]) -> TrackReply:
        raise RetryableError("test")

    with pytest.raises(RetryableError):
        send_in_calls(["a", "b"], CallSize(75), fail, ignored)


def test_the_first_call_goes_alone_and_the_others_at_a_time() -> None:
    """How many objects Braze takes is learnt once, not by each of many calls."""
    at_once = Barrier(4, timeout=10)
    sizes: list[int] = []

    def send(batch: Sequence[int]) -> TrackReply:
        sizes.append(len(batch))
        if len(batch) > 50:
            raise TooMany("braze_400")
        if batch[0] >= 75:
            at_once.wait()
        return TrackReply({})

    items = range(250)
    # 75 are refused, 50 and 25 taken; then four calls of 50, which wait for each other.
    with threads(4):
        send_in_calls([*items], CallSize(75), send, ignored)
    assert sizes[:3] == [75, 50, 25]
    assert sorted(sizes[3:]) == [25, 50, 50, 50]


def test_when_a_call_fails_no_other_begins_and_what_is_known_is_told() -> None:
    told: list[int] = []
    failed = Event()

    def send(batch: Sequence[int]) -> TrackReply:
        if batch[0] == 2:
            failed.set()
            raise RetryableError("test")
        if batch[0] == 1:
            assert failed.wait(10)
        return TrackReply({})

    def sent(batch: Sequence[int], reasons: Reasons) -> None:
        told.extend(batch)

    before, size = active_count(), CallSize(1)
    size.taken(1)
    with threads(2), pytest.raises(RetryableError):
        send_in_calls([*range(1, 50)], size, send, sent)
    assert told[0] == 1, "it was under way"
    assert len(told) < 10
    assert active_count() == before, "none is left"
