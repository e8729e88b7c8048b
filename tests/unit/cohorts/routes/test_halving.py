"""A batch is halved until whatever Braze rejects stands alone."""

from collections.abc import Sequence

import pytest

from bridge.braze.users_track import TrackReply
from bridge.cohorts.routes.halving import CallSize, Reasons, send_in_calls
from bridge.errors import Rejected, RetryableError


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
    reasons: Reasons = [None] * len(items)
    send_in_calls([*enumerate(items)], CallSize(75), braze, reasons)
    return reasons


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


def test_positions_are_those_of_the_whole_push() -> None:
    reasons: Reasons = [None] * 10
    send_in_calls([(4, "a"), (9, "b")], CallSize(75), Braze("b", "named"), reasons)
    assert reasons == [None] * 9 + ["named"]


def test_an_outage_is_raised() -> None:
    def fail(_: Sequence[str]) -> TrackReply:
        raise RetryableError("test")

    with pytest.raises(RetryableError):
        send_in_calls([(0, "a"), (1, "b")], CallSize(75), fail, [None, None])
