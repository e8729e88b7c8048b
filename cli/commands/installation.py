"""Commands for setting a stack up, checking it and removing it."""

import getpass
from collections.abc import Callable
from typing import Annotated

import typer

from cli.app import app, examples, session
from cli.check import check as findings
from cli.output import Exit
from cli.remove import remove as remove_stack
from cli.remove import staying, waiting_messages
from cli.setup import Terminal, enter_keys, screens
from cli.stack import StackError

PANEL = "Set up"


@app.command(
    rich_help_panel=PANEL,
    epilog=examples("bridge setup --stack my-bridge", "bridge setup --show"),
)
def setup(
    context: typer.Context,
    show: Annotated[
        bool, typer.Option("--show", help="Ask nothing; only show what to enter.")
    ] = False,
) -> int:
    """Ask for the vendors' keys, store those that they take, show what to enter there.

    The password and the token are shown: they are to be entered at the vendors.
    """
    now = session(context)
    stack, out = now.stack, now.out
    entered = show or enter_keys(
        stack,
        Terminal(
            _answer(input),
            _answer(getpass.getpass),
            wrong=out.wrong,
            right=lambda text: out.say(text, "right", "green"),
        ),
    )
    shown = list(screens(stack))
    out.document(shown)
    for screen in shown:
        out.say(f"\N{EN DASH} {screen.path}")
        for name, value in screen.fields:
            out.say(f"    {name:<16} {value}")
        if screen.then:
            out.say(f"    {screen.then}")
    return Exit.DONE if entered else Exit.WRONG


def _answer(read: Callable[[str], str]) -> Callable[[str], str]:
    def ask(question: str) -> str:
        try:
            return read(question)
        except EOFError:
            raise StackError("nobody answers; run setup in a terminal") from None

    return ask


@app.command(
    rich_help_panel=PANEL, epilog=examples("bridge check", "bridge check --json")
)
def check(context: typer.Context) -> int:
    """Check every secret and rule, and the vendors' answers to the credentials.

    Nothing is written at a vendor.
    """
    now = session(context)
    wrong = 0
    for finding in findings(now.stack):
        wrong += bool(finding.problem)
        if now.out.as_json:
            now.out.document(finding)
        elif finding.problem:
            now.out.wrong(f"{finding.what}: {finding.problem}")
        else:
            now.out.say(finding.what, "right", "green")
    return Exit.WRONG if wrong else Exit.DONE


@app.command(
    rich_help_panel=PANEL,
    epilog=examples(
        "bridge remove --stack my-bridge",
        "bridge remove --stack my-bridge --confirm my-bridge",
    ),
)
def remove(
    context: typer.Context,
    confirm: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The stack's name once more: remove it."),
    ] = None,
) -> int:
    """Say what stays when the stack is removed, and why; with --confirm remove it."""
    now = session(context)
    out = now.out
    if not now.name:
        raise StackError("--stack names the one to remove; Ctrl-C ends the local cloud")
    stack = now.stack
    kept = list(staying(stack))
    lost = waiting_messages(stack)
    for each in kept:
        out.say(f"{each.logical_id}: {each.why} ({each.physical_id})", "stays", "green")
    out.say(
        "functions, queues, alarms, roles and the API with its addresses",
        "goes ",
        "red",
    )
    if lost:
        out.say(f"{lost} messages that wait in the queues go with them", "goes ", "red")
    removed = confirm == now.name
    if confirm is None:
        out.say(f"nothing is changed; to remove the stack: remove --confirm {now.name}")
    elif not removed:
        out.wrong("--confirm is not the name given to --stack")
        return Exit.WRONG
    else:
        remove_stack(stack, now.name)
        out.say(f"{now.name} is removed; to delete what stays as well:")
        for each in kept:
            out.say(f"  {each.delete}")
    out.document({"removed": removed, "stays": kept, "messages_lost": lost})
    return Exit.DONE
