"""The system's Chromium, driven by Playwright, for the tests and the picture."""

import os
import shutil
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
MISSING = "no Chromium: `apt-get install chromium` brings it"


def found() -> str | None:
    """Where it is; None if it is not installed."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def launch(playwright: Any, chromium: str) -> Any:
    """Start it without a window; `playwright` is the started one."""
    # It refuses its sandbox to root, as whom a container often runs.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    return playwright.chromium.launch(executable_path=chromium, args=arguments)
