"""Write docs/live.png: the live page in the middle of its work, for the README.

Needs Chromium and Playwright: `make pictures`.
"""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from sandbox.live.cloud import live_cloud
from sandbox.live.server import LivePage
from sandbox.live.world import World
from scripts import chromium

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "live.png"
SIZE = {"width": 1280, "height": 800}
MAX_BYTES = 300_000

BEFORE = ("sync", "events", "poison", "join", "abort", "sync", "all_off", "leave")
"""What has happened when the picture is taken: a failed sync is rolled back, too."""


def main() -> int:
    """Take the picture; 1 where there is no browser."""
    where = chromium.found()
    if where is None:
        sys.stderr.write(f"{chromium.MISSING}\n")
        return 1
    build = ROOT / ".aws-sam" / "build"
    with (
        tempfile.TemporaryDirectory() as logs,
        live_cloud(build, Path(logs)) as (cloud, kills),
        LivePage(World(cloud, kills, tempo=0.1), port=0) as page,
    ):
        _prepare(page.world)
        _photograph(where, page.url)
    return 0 if PICTURE.stat().st_size < MAX_BYTES else 1


def _prepare(world: World) -> None:
    for name in BEFORE:
        world.submit(name, True).result()
    world.submit("lost_request", True).result()
    world.submit("duplicate", True).result()
    world.submit("sync").result()
    world.submit("join").result()
    world.submit("braze_outage", True).result()
    world.submit("events")
    world.submit("sync").result()


def _photograph(where: str, url: str) -> None:
    with sync_playwright() as playwright:
        browser = chromium.launch(playwright, where)
        window = browser.new_page(viewport=SIZE, color_scheme="light")
        window.goto(url)
        window.wait_for_selector("#scenes li")
        # Until what moves has come to rest.
        window.wait_for_timeout(1_200)
        window.screenshot(path=str(PICTURE))
        browser.close()


if __name__ == "__main__":
    sys.exit(main())
