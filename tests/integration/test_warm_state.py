"""What a warm function remembers between its invocations of AWS and the vendors."""

import pytest

from functions.cohort_consumer import app as consumer
from functions.currents_importer import app as importer
from sandbox.braze import BrazeStandIn
from sandbox.braze.track import TrackLimits
from sandbox.mixpanel import MixpanelStandIn
from tests.integration.clock import Clock
from tests.integration.consumer import (
    COHORT,
    accept,
    consume,
    make_visible,
)
from tests.integration.importer import (
    NONE_FAILED,
    OPEN,
    batch,
    failed,
    quarantined_events,
    source,
)
from tests.integration.stack import (
    Context,
    Stack,
)


def test_a_size_that_mixpanel_rejected_is_not_retried(
    stack: Stack, mixpanel: MixpanelStandIn
) -> None:
    mixpanel.faults.plan("413")
    made = source()
    calls = []
    for _ in range(2):
        events = [made.event() for _ in range(30)]
        for event in events:
            event["properties"]["url"] = "x" * 100_000
        assert importer.handler(batch(events), Context(300)) == NONE_FAILED
        calls.append(mixpanel.calls["/import"])
    assert calls == [3, 5], "once too large and then in halves, then in halves at once"
    assert len(mixpanel.visible()) == 60


@pytest.mark.parametrize("broken", ["transport", "mapper", "quarantine"])
def test_an_importer_goes_on_after_an_invocation_that_failed(
    stack: Stack,
    mixpanel: MixpanelStandIn,
    monkeypatch: pytest.MonkeyPatch,
    broken: str,
) -> None:
    warm = importer.importer()
    event = batch([source().event(), source().event(OPEN)], b"poison")
    owner, name = {
        "transport": (warm.transport, "post"),
        "mapper": (warm.mapper, "get"),
        "quarantine": (warm.quarantine, "put"),
    }[broken]
    with monkeypatch.context() as breaking:
        breaking.setattr(owner, name, lambda *_, **__: 1 // 0)
        assert failed(importer.handler(event, Context())) == ["1000"]
    for _ in range(2):
        assert importer.handler(event, Context()) == NONE_FAILED
    assert importer.importer() is warm
    assert len(mixpanel.visible()) == 2
    assert [item.original for item in quarantined_events(stack)] == [b"poison"]


def test_a_consumer_leaves_braze_in_peace_until_the_hour_that_it_asked_for_is_over(
    stack: Stack, braze: BrazeStandIn, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    transport = consumer.consumer().braze.transport
    for each in (transport, transport._brake):
        monkeypatch.setattr(each, "_now", clock)
    accept("cohort_webhook")
    braze.faults.plan("429 hour", path="/users/track")
    for passing in (0, 3_500):
        clock.now += passing
        make_visible(stack)
        assert len(consume(stack, 30.0)) == 1
        assert braze.workspace.cohort_members(*COHORT) == set()
    clock.now += 100
    make_visible(stack)
    assert consume(stack, 30.0) == []
    assert len(braze.workspace.cohort_members(*COHORT)) == 3


def test_a_consumer_learns_once_that_a_contract_takes_fewer_objects_a_call(
    stack: Stack, braze: BrazeStandIn
) -> None:
    braze.track_limits = TrackLimits(objects=50)
    members = [{"mixpanel_distinct_id": f"u{n}"} for n in range(600)]
    for cohort in ("1", "2"):
        accept("cohort_webhook", mixpanel_cohort_id=cohort, members=members)
        assert consume(stack) == []
    # Steps of 300. In the first one of 75 is too large, and goes as 50 and 25.
    assert braze.workspace.calls["/users/track"] == (1 + 2 + 5) + 6 + 6 + 6


def test_a_device_is_looked_up_again_by_the_next_sync(
    stack: Stack, braze: BrazeStandIn
) -> None:
    """R6: its owner may have logged in meanwhile."""
    braze.workspace.add_user(devices=["d-7"])
    members = [{"mixpanel_distinct_id": "$device:d-7"}]
    written = []
    for cohort in ("1", "2"):
        accept("cohort_webhook", mixpanel_cohort_id=cohort, members=members)
        assert consume(stack) == []
        attribute, _ = COHORT
        if braze.workspace.cohort_members(attribute, f"mixpanel_{cohort}"):
            written.append(cohort)
        braze.workspace.log_in("d-7", "cust-7")
    assert written == ["1"]
