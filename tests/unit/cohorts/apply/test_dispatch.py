"""Each kind of message is carried out by its own module."""

import pytest

from bridge.cohorts.apply import dispatch
from bridge.cohorts.apply.context import Applied
from bridge.cohorts.apply.crash_poison import (
    SUSPECT_RECEIPTS,
    apply_in_shrinking_steps,
)
from bridge.cohorts.apply.page import apply_in_steps
from bridge.cohorts.cohort_messages import (
    MeasureRemovalMessage,
    Message,
    ReleaseMessage,
    RescanMessage,
)
from bridge.cohorts.messages import PageMessage
from bridge.mixpanel.cohort_webhook import Action
from tests.model.world import KEY, World

PAGE = PageMessage(key=KEY, seq=5, action=Action.ADD, page="1", digest="d")


@pytest.mark.parametrize(
    ("message", "module"),
    [
        (PAGE, "apply_page"),
        (RescanMessage(key=KEY), "rescan"),
        (MeasureRemovalMessage(key=KEY, seq=5), "measure_removal"),
        (ReleaseMessage(key=KEY, seq=5), "release"),
    ],
)
def test_a_message_goes_to_the_module_of_its_kind(
    monkeypatch: pytest.MonkeyPatch, message: Message, module: str
) -> None:
    applied = Applied(pushed=7)
    monkeypatch.setattr(dispatch, module, lambda *_: applied)
    assert dispatch.consume(World().context(), message) is applied


@pytest.mark.parametrize("received", [1, SUSPECT_RECEIPTS - 1, SUSPECT_RECEIPTS, 99])
def test_a_page_received_too_often_is_applied_in_shrinking_steps(
    monkeypatch: pytest.MonkeyPatch, received: int
) -> None:
    steps: list[object] = []
    monkeypatch.setattr(dispatch, "apply_page", lambda *asked: steps.append(asked[2]))
    dispatch.consume(World().context(), PAGE, received)
    assert steps == [
        apply_in_shrinking_steps if received >= SUSPECT_RECEIPTS else apply_in_steps
    ]
