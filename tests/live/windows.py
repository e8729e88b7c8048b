"""What tests do in a window of the page."""

from typing import Any

PATIENCE = 60_000
"""Milliseconds, for what takes as long as the cloud does."""


def idle(window: Any) -> None:
    """Wait until no action is under way."""
    window.wait_for_function(
        "() => document.body.dataset.busy === ''", timeout=PATIENCE, polling=50
    )


def press(window: Any, action: str) -> str:
    """Press a button and wait for its end; the sentence then."""
    return _act(window, f"[data-action={action}]")


def turn(window: Any, switch: str, *, on: bool) -> str:
    """Turn a switch and wait for what follows; the sentence then."""
    button = f"[data-switch={switch}]"
    if (window.get_attribute(button, "aria-checked") == "true") is on:
        return sentence(window)
    said = _act(window, button)
    window.wait_for_selector(f"{button}[aria-checked={str(on).lower()}]")
    return said


def _act(window: Any, control: str) -> str:
    idle(window)
    finished = int(window.get_attribute("body", "data-finished"))
    window.click(control)
    window.wait_for_function(
        "before => Number(document.body.dataset.finished) > before",
        arg=finished,
        timeout=PATIENCE,
        polling=50,
    )
    idle(window)
    return sentence(window)


def sentence(window: Any) -> str:
    return str(window.inner_text("#sentence"))


def figure(window: Any, path: str) -> float:
    """A figure as it is shown."""
    text = str(window.inner_text(f"[data-figure='{path}']"))
    return float(text.replace(",", ""))


def wait_for_figure(window: Any, path: str, value: float) -> None:
    window.wait_for_function(
        "([path, value]) => document.querySelector(`[data-figure='${path}']`)"
        ".textContent === value.toLocaleString('en')",
        arg=[path, value],
        timeout=PATIENCE,
    )
