"""docs/operate.md shows what its commands say; other pages name commands that exist."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

import cli.__main__  # noqa: F401 - it gives the command its commands
from cli.app import ANYWHERE, ORDER, app
from sandbox.cloud import Cloud
from scripts.operate_page import PAGE, commands, runner, written
from tests.system import scene

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
CODE = re.compile(r"```[a-z]*\n(.*?)```|`([^`\n]+)`", re.DOTALL)
NAMED = re.compile(r"(?:^|[ /])bridge ((?:--\w+ [\w-]+ )*[a-z][^\n#]*)", re.MULTILINE)


def shape(page: str) -> list[str]:
    """The lines without what differs from run to run: numbers, ids, and widths."""
    lines = re.sub(r"\d+|─+", "0", page).splitlines()
    return [" ".join(line.split()) for line in lines]


def test_the_page_shows_what_each_command_says(built: Path, tmp_path: Path) -> None:
    page = PAGE.read_text()
    assert len(commands(page)) > 20
    with Cloud(built, parameters=scene.PARAMETERS) as cloud:
        scene.play(cloud)
        description = tmp_path / "description.json"
        description.write_text(json.dumps(cloud.description))
        assert shape(written(page, runner(description))) == shape(page)


def mentions() -> Iterator[tuple[str, str]]:
    """Page and command of everything that a page shows as a command."""
    for page in PAGES:
        for block, span in CODE.findall(page.read_text()):
            for command in NAMED.findall(block or span):
                yield page.name, command.strip()


@pytest.mark.parametrize(("page", "command"), sorted(set(mentions())))
def test_a_command_that_a_page_names_exists(page: str, command: str) -> None:
    words = command.split()
    found: Any = typer.main.get_command(app)
    options = set(ANYWHERE)
    while words:
        word = words.pop(0)
        if word in ANYWHERE:
            del words[: ANYWHERE[word]]
        elif hasattr(found, "commands"):
            assert word in found.commands, f"bridge {command}"
            found = found.commands[word]
            options |= {name for each in found.params for name in each.opts}
        elif word.startswith("--"):
            assert word.split("=")[0] in options, f"bridge {command}"


def test_help_lists_every_command_in_the_order_of_need() -> None:
    found: Any = typer.main.get_command(app)
    assert set(found.commands) == set(ORDER)


def test_the_pages_name_every_command() -> None:
    found: Any = typer.main.get_command(app)
    named = {command.split()[0] for _, command in mentions() if command}
    assert set(found.commands) - named == set()
