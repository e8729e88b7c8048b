"""The tour runs by itself to the check at its end, whoever looks at it."""

from typing import Any

from sandbox.live.server import LivePage
from tests.live.conftest import SIZE
from tests.live.windows import figure, sentence

TOUR = 240_000
"""Milliseconds; its pauses are a fiftieth of what they are for people."""


def scene(window: Any) -> str:
    return str(window.inner_text("#scenes .now"))


def test_six_scenes_end_with_both_sides_equal(
    window: Any, browser: Any, live: LivePage
) -> None:
    other = browser.new_context(viewport=SIZE, color_scheme="dark").new_page()
    other.goto(live.url)
    window.click("#tour")
    # Both windows see it, and neither can disturb it.
    for each in (window, other):
        each.wait_for_selector("#scenes .now")
        each.wait_for_selector("[data-action=sync]:disabled")
    assert live.tour.running
    window.wait_for_selector("#scenes li:nth-child(2).now", timeout=TOUR)
    window.reload()
    window.wait_for_selector("#scenes .now")
    assert scene(window) in {"A rolled-back diff", "An outage"}
    window.wait_for_selector("[data-action=sync]:enabled", timeout=TOUR)
    other.wait_for_selector("[data-action=sync]:enabled")
    world = live.world
    assert sentence(window).startswith("After six faults Braze has exactly")
    assert live.tour.passed
    assert window.locator("#scenes .done").count() == 6
    assert sentence(other) == sentence(window)
    for each in (window, other):
        each.wait_for_selector(".status.good")
        assert figure(each, "cohort.braze") == len(world.cohort.members)
        assert figure(each, "alarms.credentials_rejected") > 0
        assert figure(each, "events.delivered") == len(world.mixpanel.visible())
    assert window.locator("#syncs .chip.aborted").count() == 1
    assert not any(world.switches.values())
    other.context.close()


def test_a_tour_can_be_stopped(window: Any, live: LivePage) -> None:
    window.click("#tour")
    window.wait_for_selector("#scenes .now", timeout=TOUR)
    window.click("text=Stop the tour")
    window.wait_for_selector("[data-action=sync]:enabled", timeout=TOUR)
    assert "ended early" in sentence(window)
    assert not live.tour.running
