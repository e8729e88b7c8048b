"""The live page with its cloud, and a real browser where there is one.

Chromium is the system's, Playwright is in an environment of its own (`make browser`).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.live.cloud import live_cloud
from sandbox.live.server import LivePage
from sandbox.live.world import World
from scripts import chromium

BUILD = Path(__file__).parents[2] / ".aws-sam" / "build"
TEMPO = 0.02
"""Of the pauses that are there for the eye."""
SIZE = {"width": 1280, "height": 800}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.live)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePage]:
    """A cloud and its page; one for the tests of a file."""
    if not (BUILD / "template.yaml").exists():
        pytest.fail("run `make build` first, or `make browser`")
    with live_cloud(BUILD, tmp_path_factory.mktemp("logs")) as (cloud, kills):
        world = World(cloud, kills, tempo=TEMPO)
        with LivePage(world, port=0) as page:
            yield page


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, headless; without it the tests of the page are skipped."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="no Playwright: `make browser` brings it"
    )
    where = chromium.found()
    if where is None:
        pytest.skip(chromium.MISSING)
    with playwright.sync_playwright() as started:
        running = chromium.launch(started, where)
        yield running
        running.close()


@pytest.fixture
def window(browser: Any, live: LivePage) -> Iterator[Any]:
    """The page in a window of its own, in light colours; it must log no error."""
    context = browser.new_context(viewport=SIZE, color_scheme="light")
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text))
    page.goto(live.url)
    page.wait_for_selector("#scenes li")
    yield page
    context.close()
    assert problems == []
