"""The live page in a real browser: each button, each switch, and how it looks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.live.server import FILES, LivePage
from sandbox.live.world import ACTIONS, World
from tests.live.conftest import SIZE
from tests.live.windows import figure, idle, press, sentence, turn, wait_for_figure

CONTRASTS = Path(__file__).with_name("contrasts.js")

EFFECTS: dict[str, Callable[[World], object]] = {
    "lost_request": lambda world: world.wire.lost_request,
    "lost_answer": lambda world: world.wire.lost_answer,
    "abort": lambda world: world.wire.abort,
    "duplicate": lambda world: world.wire.duplicate,
    "braze_429": lambda world: world.braze.faults.rates == {"429": 0.4},
    "braze_outage": lambda world: world.braze.faults.rates == {"503": 1.0},
    "mixpanel_429": lambda world: world.mixpanel.faults.rates == {"429": 0.4},
    "mixpanel_outage": lambda world: world.mixpanel.faults.rates == {"503": 1.0},
    "kill_consumer": lambda world: world.kills.consumer.armed,
    "kill_importer": lambda world: world.kills.importer.armed,
    "rules": lambda world: b"exclude" in rules_file(world),
}
"""What a switch turns, in the stand-ins, on the wire or in the bucket."""


def rules_file(world: World) -> bytes:
    content: bytes = (
        world.cloud.client("s3")
        .get_object(
            Bucket=world.cloud.description["resources"]["DataBucket"],
            Key="rules/currents.json",
        )["Body"]
        .read()
    )
    return content


def everybody_is_equal(world: World, window: Any) -> None:
    wait_for_figure(window, "cohort.difference", 0)
    members = world.braze.workspace.cohort_members(
        "mixpanel_cohorts", f"mixpanel_{world.cohort.id}"
    )
    users = world.people.by_user()
    assert {users[name].distinct_id for name in members} == set(world.cohort.members)


def test_the_page_has_every_action_and_every_switch(
    window: Any, live: LivePage
) -> None:
    actions = window.eval_on_selector_all(
        "[data-action]", "all => all.map(each => each.dataset.action)"
    )
    switches = window.eval_on_selector_all(
        "[data-switch]", "all => all.map(each => each.dataset.switch)"
    )
    assert sorted(actions) == sorted(ACTIONS)
    assert sorted(switches) == sorted(live.world.switches) == sorted(EFFECTS)


@pytest.mark.parametrize("switch", EFFECTS)
def test_a_switch_turns_a_fault_on_and_off_and_says_what_the_bridge_does(
    window: Any, live: LivePage, switch: str
) -> None:
    said = turn(window, switch, on=True)
    assert EFFECTS[switch](live.world)
    assert turn(window, switch, on=False) != said
    assert not EFFECTS[switch](live.world)


def test_people_move_and_both_sides_are_equal_after_each_sync(
    window: Any, live: LivePage
) -> None:
    world = live.world
    press(window, "sync")
    everybody_is_equal(world, window)
    for action, number in {
        "join": 12,
        "leave": 12,
        "come_back": 12,
        "identify": 2,
        "change_identifier": 3,
    }.items():
        assert press(window, action).startswith(f"{number} ")
        said = press(window, "sync")
        everybody_is_equal(world, window)
        assert said.startswith("Braze has exactly Mixpanel's cohort")
    press(window, "full_sync")
    assert window.inner_text("#syncs tr:first-child .chip") == "baseline"


def test_faults_of_the_wire_show_and_harm_nobody(window: Any, live: LivePage) -> None:
    for switch in ("lost_request", "lost_answer", "duplicate"):
        turn(window, switch, on=True)
    press(window, "leave")
    press(window, "join")
    press(window, "full_sync")
    everybody_is_equal(live.world, window)
    fates = window.eval_on_selector_all(
        "#pages li", "all => all.map(each => each.dataset.fate)"
    )
    assert {"request lost", "answer lost", "repeated", "accepted"} <= set(fates)
    press(window, "all_off")
    assert not any(live.world.switches.values())


def test_a_sync_that_is_given_up_is_aborted_and_rolled_back(
    window: Any, live: LivePage
) -> None:
    world = live.world
    press(window, "sync")
    turn(window, "abort", on=True)
    joined = world.people.join(world.cohort, 3)
    assert "gave up" in press(window, "sync")
    turn(window, "abort", on=False)
    world.people.remove(world.cohort, joined)
    press(window, "leave")
    press(window, "sync")
    everybody_is_equal(world, window)
    assert window.locator("#syncs .chip.aborted").count() == 1


def test_a_killed_consumer_and_an_outage_only_delay(
    window: Any, live: LivePage
) -> None:
    turn(window, "kill_consumer", on=True)
    press(window, "join")
    press(window, "sync")
    assert not live.world.switches["kill_consumer"]
    everybody_is_equal(live.world, window)
    turn(window, "braze_outage", on=True)
    press(window, "leave")
    assert "wait in the queue" in press(window, "sync")
    assert figure(window, "cohort.difference") > 0
    turn(window, "braze_outage", on=False)
    everybody_is_equal(live.world, window)
    assert "the queue has delivered everything" in sentence(window)


def test_events_arrive_or_say_why_not(window: Any, live: LivePage) -> None:
    turn(window, "kill_importer", on=True)
    window.click("[data-action=events]")
    window.click("[data-action=poison]")
    wait_for_figure(window, "events.quarantined", 2)
    idle(window)
    assert {"bad_time", "too_large"} <= set(
        window.inner_text("#reasons").replace("quarantined: ", "").split()
    )
    shown = figure(window, "events.delivered")
    assert shown == len(live.world.mixpanel.visible())
    assert figure(window, "events.copies") > shown
    turn(window, "rules", on=True)
    assert press(window, "replay").startswith("1 event ")
    wait_for_figure(window, "events.quarantined", 1)
    press(window, "repeat")
    assert figure(window, "events.delivered") == shown + 1
    turn(window, "rules", on=False)


def test_another_dialect_is_another_sender(window: Any, live: LivePage) -> None:
    window.select_option("#dialect", "scenario")
    window.wait_for_selector("[data-action=full_sync]:disabled")
    press(window, "sync")
    everybody_is_equal(live.world, window)
    window.select_option("#dialect", "documented")
    window.wait_for_selector("[data-action=full_sync]:enabled")
    press(window, "sync")
    everybody_is_equal(live.world, window)


def test_every_figure_is_the_servers(window: Any, live: LivePage) -> None:
    press(window, "sync")
    window.wait_for_timeout(1_000)
    state = live.state()
    shown = window.eval_on_selector_all(
        "[data-figure]", "all => all.map(each => [each.dataset.figure, each.innerText])"
    )
    assert len(shown) == 19
    for path, text in shown:
        group, name = path.split(".")
        assert text == f"{state[group][name]:,}", path
    assert window.locator("#mixpanel-dots .in").count() == state["cohort"]["mixpanel"]
    assert window.locator("#braze-dots .in").count() == state["cohort"]["braze"]
    assert window.locator("#syncs tr").count() == len(state["syncs"])
    counts = window.eval_on_selector_all(
        "#channels li", "all => all.map(each => each.lastChild.innerText)"
    )
    assert counts == [
        f"{channel['delivered']:,} of {channel['sent']:,}"
        for channel in state["events"]["channels"]
    ]


# How it looks, and for whom


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_one_screen_and_every_text_has_contrast(
    window: Any, scheme: str
) -> None:
    window.emulate_media(color_scheme=scheme)
    window.wait_for_timeout(600)
    size = window.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
    )
    assert size == [SIZE["width"], SIZE["height"]]
    assert window.evaluate(CONTRASTS.read_text()) == []


def test_light_and_dark_differ(window: Any) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    light = window.evaluate(ground)
    window.emulate_media(color_scheme="dark")
    assert window.evaluate(ground) != light


def test_a_narrow_window_has_no_sideways_scrolling(window: Any) -> None:
    press(window, "full_sync")
    press(window, "full_sync")
    window.set_viewport_size({"width": 390, "height": 800})
    assert window.evaluate("document.documentElement.scrollWidth") == 390


def test_the_keyboard_reaches_and_works_every_control(
    window: Any, live: LivePage
) -> None:
    controls = window.locator("button:enabled, select:enabled").count()
    reached = set()
    window.keyboard.press("Tab")
    for _ in range(controls):
        window.keyboard.press("Tab")
        name, outline = window.evaluate(
            "[document.activeElement.id || document.activeElement.dataset.action ||"
            " document.activeElement.dataset.switch,"
            " getComputedStyle(document.activeElement).outlineStyle]"
        )
        assert outline != "none", name
        reached.add(name)
    assert len(reached) == controls
    window.focus("[data-switch=duplicate]")
    window.keyboard.press("Space")
    window.wait_for_selector("[data-switch=duplicate][aria-checked=true]")
    assert live.world.wire.duplicate
    window.keyboard.press("Enter")
    window.wait_for_selector("[data-switch=duplicate][aria-checked=false]")


def test_everything_has_a_name_for_those_who_listen(window: Any) -> None:
    nameless = window.eval_on_selector_all(
        "button, select, section, [role=group], [role=img], table, ol",
        "all => all.filter(each => !(each.getAttribute('aria-label') ||"
        " each.getAttribute('aria-labelledby') || each.innerText.trim() ||"
        " each.labels?.length)).map(each => each.outerHTML)",
    )
    assert nameless == []
    assert window.get_attribute("#sentence", "aria-live") == "polite"


def test_no_other_address_is_asked(browser: Any, live: LivePage) -> None:
    context = browser.new_context(viewport=SIZE)
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(live.url)
    page.wait_for_selector("#scenes li")
    context.close()
    assert {url.removeprefix(live.url) for url in asked} <= {*FILES, "/state"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "rebound.example"}, 403),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/json"}, 400),
    ],
)
def test_another_site_can_do_nothing(
    live: LivePage, headers: dict[str, str], status: int
) -> None:
    answer = requests.post(f"{live.url}/do", data=b"{}", headers=headers, timeout=10)
    assert answer.status_code == status
