"""Run the commands of docs/operate.md, and write down what they say.

`python -m scripts.operate_page` needs what `make build` builds: the commands work on a
local cloud with something to see (`tests.system.scene`). A test compares the page with
a run of its own, times and numbers left out.
"""

import io
import json
import re
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

from cli.__main__ import main as bridge
from cli.output import Exit
from sandbox.cloud import Cloud
from tests.system import scene

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "operate.md"
PROMPT = "$ bridge "
KEEPING = ("reconcile 8", "backfill load")
"""What remembers how far it has come, here in a folder of its own."""

RIGHT = frozenset({Exit.DONE, Exit.DIFFERS})

_BLOCK = re.compile(r"```console\n(.*?)```\n", re.DOTALL)


def commands(page: str) -> list[str]:
    """All commands that a page shows behind a prompt."""
    return [
        line.removeprefix(PROMPT)
        for block in _BLOCK.findall(page)
        for line in block.splitlines()
        if line.startswith(PROMPT)
    ]


def written(page: str, say: Callable[[str], str]) -> str:
    """The page with what each command says below it."""

    def block(match: re.Match[str]) -> str:
        shown = [
            f"{PROMPT}{command}\n{say(command)}" for command in commands(match.group())
        ]
        return "```console\n" + "\n".join(shown) + "```\n"

    return _BLOCK.sub(block, page)


def runner(description: Path) -> Callable[[str], str]:
    """Runs a command on a local cloud; raises `RuntimeError` where it goes wrong."""

    def say(command: str) -> str:
        said = io.StringIO()
        words = [*command.split(), "--description", str(description)]
        if command.startswith(KEEPING):
            words += ["--state", str(description.parent / "state")]
        with (
            redirect_stdout(said),
            redirect_stderr(said),
            patch("sys.stdin", io.StringIO("")),
        ):
            status = bridge(words)
        text = said.getvalue()
        if status not in RIGHT:
            raise RuntimeError(f"bridge {command}: {status}\n{text}")
        return "".join(line.rstrip() + "\n" for line in text.splitlines())

    return say


def main() -> int:
    """Write the page."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Cloud(ROOT / ".aws-sam" / "build", parameters=scene.PARAMETERS) as cloud,
    ):
        scene.play(cloud)
        description = Path(folder) / "description.json"
        description.write_text(json.dumps(cloud.description))
        PAGE.write_text(written(PAGE.read_text(), runner(description)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
