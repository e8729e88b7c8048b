"""What the command says: lines and tables for people, or JSON for programs.

Results go to standard output; complaints, questions and progress to standard error, so
that a result can be piped. Whatever comes from outside loses its control characters:
none of it may steer a terminal.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

PIPED_WIDTH = 100
UNPRINTABLE = "\N{REPLACEMENT CHARACTER}"


class Exit(IntEnum):
    """How the command ends, for scripts."""

    DONE = 0
    WRONG = 1
    USAGE = 2
    DIFFERS = 3
    """It was done, and what it compared differs."""
    INTERRUPTED = 130
    """Ctrl-C stopped it, as shells have it."""


def printable(text: object) -> str:
    """The text without control characters."""
    shown = str(text)
    if shown.isprintable():
        return shown
    return "".join(each if each.isprintable() else UNPRINTABLE for each in shown)


def moment(at: datetime | float | None) -> str:
    """A time in UTC, to the minute; a number is in epoch seconds."""
    if not at:
        return "never"
    if not isinstance(at, datetime):
        at = datetime.fromtimestamp(at, UTC)
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M}"


def duration(seconds: float) -> str:
    """A length of time in its two largest units: `2 h 5 min`."""
    whole = int(max(seconds, 0))
    units = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
    for position, (size, name) in enumerate(units):
        if whole >= size:
            text = f"{whole // size} {name}"
            if position + 1 < len(units):
                smaller, smaller_name = units[position + 1]
                rest = whole % size // smaller
                text += f" {rest} {smaller_name}" if rest else ""
            return text
    return "0 s"


class Output:
    """Standard output and standard error; with `as_json` the former is JSON alone.

    A command that lists things one by one writes one JSON object a line.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        # What is piped has no width of its own.
        piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
        self.console = Console(
            highlight=False,
            markup=False,
            soft_wrap=True,
            width=PIPED_WIDTH if piped else None,
        )
        self.errors = Console(
            stderr=True, highlight=False, markup=False, soft_wrap=True
        )

    def say(self, text: str = "", label: str = "", color: str = "") -> None:
        """A line for people, behind a coloured word."""
        if not self.as_json:
            self.console.print(_labelled(text, label, color))

    def note(self, text: str) -> None:
        """A line that is no result: it goes to standard error."""
        self.errors.print(printable(text))

    def wrong(self, problem: str) -> None:
        """Why the command failed."""
        if self.as_json:
            self.document({"wrong": problem})
        else:
            self.errors.print(_labelled(problem, "wrong", "red"))

    def document(self, result: object) -> None:
        """The whole result, for programs; people get lines and tables."""
        if self.as_json:
            self._json(result)

    def row(self, result: object, line: Callable[[], str | Text]) -> None:
        """One of many results; its line is made only for people."""
        if self.as_json:
            self._json(result)
            return
        shown = line()
        text = shown if isinstance(shown, Text) else Text(printable(shown))
        if self.console.is_terminal:
            self.console.print(text)
        else:
            self.console.file.write(f"{text.plain}\n")

    def _json(self, result: object) -> None:
        # ASCII: a control character is written as an escape.
        text = json.dumps(plain(result)).replace("\x7f", "\\u007f")
        self.console.file.write(text + "\n")

    def paragraph(self, text: str, indent: int) -> None:
        """A longer text for people, indented and wrapped."""
        self.show(Padding(Text(printable(text)), (0, 0, 0, indent)))

    def show(self, renderable: RenderableType) -> None:
        """A table or another renderable, for people."""
        if not self.as_json:
            self.console.print(renderable, soft_wrap=False)

    @contextmanager
    def progress(self, what: str, total: int | None) -> Iterator[Callable[[int], None]]:
        """A progress bar on standard error; call what it yields to advance it."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        hidden = not self.errors.is_terminal
        with Progress(
            *columns, console=self.errors, transient=True, disable=hidden
        ) as bar:
            task = bar.add_task(printable(what), total=total)
            yield lambda number: bar.advance(task, number)


def _labelled(text: str, label: str, color: str) -> Text:
    return Text.assemble((f"{label}  " if label else "", color), printable(text))


def table(*columns: str, right: Sequence[str] = ()) -> Table:
    """An empty table; the columns of `right` hold numbers."""
    made = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in columns:
        made.add_column(
            name,
            justify="right" if name in right else "left",
            overflow="fold",
            no_wrap=name in right,
        )
    return made


def cells(*values: object) -> list[Text]:
    """The cells of one line; numbers with their thousands apart."""
    return [
        Text(f"{value:,}" if isinstance(value, int) else printable(value))
        for value in values
    ]


def plain(result: object) -> Any:
    """A result as JSON has it."""
    if is_dataclass(result) and not isinstance(result, type):
        # Not `asdict`, which takes a Counter for a sequence of pairs.
        named = {each.name: getattr(result, each.name) for each in fields(result)}
        return plain(named)
    if isinstance(result, datetime):
        return result.isoformat()
    if isinstance(result, bytes):
        return result.decode("utf-8", "replace")
    if isinstance(result, Mapping):
        return {str(name): plain(value) for name, value in result.items()}
    if isinstance(result, (list, tuple, set, frozenset)):
        return [plain(each) for each in result]
    if hasattr(result, "model_dump"):
        return result.model_dump()
    return result
