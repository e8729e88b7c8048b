"""The command line: options that every command has, and the groups of commands."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, cast, override

import typer
import typer.core

from cli.output import Output
from cli.stack import RunningStack, StackError

LOCAL = Path(".sandbox/description.json")
"""Where `python -m sandbox` and `make run KEEP=1` write it."""

STACK_VARIABLE = "BRIDGE_STACK"

ANYWHERE = {"--stack": 1, "--region": 1, "--description": 1, "--json": 0}
"""Options of the whole command that may stand behind it too, with their values."""

ABOUT = """
Look into a running bridge, ask it, and repair it.

Without --stack, or BRIDGE_STACK in the environment, it works on the local cloud that
python -m sandbox or make run KEEP=1 has started.
These options may stand anywhere, also behind the command.

It ends with 0 if all is well, 1 if something is wrong or could not be done, 2 if the
command was misspelt, 3 if what it compared differs, 130 if Ctrl-C stopped it. Every
command can be stopped and repeated.
"""


@dataclass(frozen=True)
class Session:
    """What the options of the whole command say."""

    name: str | None
    region: str | None
    description: Path
    out: Output

    @cached_property
    def stack(self) -> RunningStack:
        """The stack, looked up when it is first needed; raises `StackError`."""
        if self.name:
            return RunningStack.deployed(self.name, self.region)
        return RunningStack.local(self.description)

    def confirmed(self, question: str, *, yes: bool) -> bool:
        """Ask before something that cannot be undone; raises `StackError` unasked."""
        if yes:
            return True
        self.out.note(f"{question} Type yes to go on:")
        try:
            return input().strip().lower() == "yes"
        except EOFError:
            raise StackError("nobody answers; --yes goes on without asking") from None


def session(context: typer.Context) -> Session:
    """The session of a command."""
    return cast("Session", context.obj)


def examples(*lines: str) -> str:
    """The end of a command's help; each line is an example."""
    return "\n\n".join(["[bold]Examples[/]", *lines])


def anywhere_first(arguments: Sequence[str]) -> list[str]:
    """The arguments with the options of the whole command in front."""
    front: list[str] = []
    rest: list[str] = []
    waiting = list(arguments)
    while waiting:
        each = waiting.pop(0)
        if each == "--":
            rest += [each, *waiting]
            break
        name, equals, _ = each.partition("=")
        if name not in ANYWHERE:
            rest.append(each)
            continue
        front.append(each)
        if ANYWHERE[name] and not equals and waiting:
            front.append(waiting.pop(0))
    return front + rest


def is_local(arguments: Sequence[str]) -> bool:
    """Whether they mean the local cloud, as far as can be seen before they are read."""
    named = any(each.partition("=")[0] == "--stack" for each in arguments)
    return not (named or os.environ.get(STACK_VARIABLE))


ORDER = (
    "status",
    *("cohorts", "cohort", "members", "reconcile", "audit"),
    *("reassert", "release", "forget-cohort", "forget"),
    *("quarantine", "replay", "backfill"),
    *("plan", "rules"),
    *("setup", "check", "remove"),
    "reason",
)
"""How `--help` lists the commands."""


class Ordered(typer.core.TyperGroup):
    """The whole command, whose commands are listed as people need them."""

    @override
    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(super().list_commands(ctx), key=ORDER.index)


def group(
    help_text: str, *, cls: type[typer.core.TyperGroup] = typer.core.TyperGroup
) -> typer.Typer:
    """A group of commands; one without a command shows its help."""
    return typer.Typer(
        cls=cls,
        help=help_text,
        no_args_is_help=True,
        rich_markup_mode="rich",
        add_completion=cls is Ordered,
        pretty_exceptions_enable=False,
    )


app = group(ABOUT, cls=Ordered)


@app.callback()
def _options(
    context: typer.Context,
    stack: Annotated[
        str | None,
        typer.Option(envvar=STACK_VARIABLE, help="Name of a deployed stack."),
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(envvar="BRIDGE_REGION", help="Its AWS region, if not yours."),
    ] = None,
    description: Annotated[
        Path, typer.Option(help="File of the local cloud, for use without --stack.")
    ] = LOCAL,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, for programs.")
    ] = False,
) -> None:
    context.obj = Session(stack, region, description, Output(as_json=as_json))


def day(text: str | None) -> str | None:
    """A day, in the form of the quarantine's keys."""
    if text is None:
        return None
    try:
        return f"{datetime.strptime(text, '%Y-%m-%d').replace(tzinfo=UTC):%Y-%m-%d}"
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no day YYYY-MM-DD") from None


Day = Annotated[
    str | None,
    typer.Option(
        "--day",
        "--date",
        metavar="YYYY-MM-DD",
        callback=day,
        help="Of the quarantine, this day only.",
    ),
]
CohortId = Annotated[
    str, typer.Argument(metavar="COHORT", help="The cohort's id in Mixpanel.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
type Command = Callable[..., int | None]
