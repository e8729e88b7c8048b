"""`bridge COMMAND`: look into a running stack, and repair it."""

import argparse
import getpass
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.text import Text

from bridge.aws.clients import error_code
from bridge.currents.mapping.rules import Rules, read_rules
from bridge.currents.mapping.transform import MAPPING_VERSION
from bridge.errors import BridgeError
from cli.check import check
from cli.cohorts import overviews, reassert, release
from cli.remove import remove, staying, waiting_messages
from cli.replay import quarantined_items, redrive, replay_events, replay_pages
from cli.replay_places import (
    replay_announced,
    replay_files,
    replay_given_up,
)
from cli.setup import Terminal, enter_keys, screens
from cli.stack import RunningStack, StackError
from cli.waiting import kept_objects, waiting

console = Console(highlight=False, markup=False, soft_wrap=True)
LOCAL = Path(".sandbox/description.json")
INTERRUPTED = 130
"""The exit status of a command that Ctrl-C stopped, as shells have it."""

UNPRINTABLE = "\N{REPLACEMENT CHARACTER}"


def say(text: str, label: str = "", color: str = "") -> None:
    """Print a line, without the control characters that a foreign text may hold."""
    shown = "".join(each if each.isprintable() else UNPRINTABLE for each in text)
    console.print(Text.assemble((f"{label}  " if label else "", color), shown))


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 1 if something is wrong, which one line says.

    Of an error of a library only the name is shown: its message may quote a secret.
    """
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except (StackError, BridgeError) as error:
        problem = str(error)
    except ClientError as error:
        problem = f"AWS denied {error.operation_name}: {error_code(error)}"
    except BotoCoreError as error:
        hint = "" if options.stack else ": is `make run KEEP=1` running?"
        problem = f"AWS cannot be reached ({type(error).__name__}){hint}"
    except KeyboardInterrupt:
        say("before the end; the command can be run again", "stopped", "red")
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - see above
        at = traceback.extract_tb(error.__traceback__)[-1]
        kind = type(error).__name__
        problem = f"a bug in the bridge: {kind} at {at.filename}:{at.lineno}"
    say(problem, "wrong", "red")
    return 1


def _run(options: argparse.Namespace) -> int:
    result: int
    if "without_stack" in options:
        result = options.without_stack(options)
    else:
        stack = (
            RunningStack.deployed(options.stack, options.region)
            if options.stack
            else RunningStack.local(options.description)
        )
        result = options.run(stack, options)
    return result


def _setup(stack: RunningStack, options: argparse.Namespace) -> int:
    """Ask for the vendors' keys, store those that they take, show what to enter there.

    The password and the token are shown: they are to be entered at the vendors.
    """
    entered = options.show or enter_keys(
        stack,
        Terminal(
            _answer(input),
            _answer(getpass.getpass),
            wrong=lambda text: say(text, "wrong", "red"),
            right=lambda text: say(text, "right", "green"),
        ),
    )
    for screen in screens(stack):
        say(f"\N{EN DASH} {screen.path}")
        for name, value in screen.fields:
            say(f"    {name:<16} {value}")
        if screen.then:
            say(f"    {screen.then}")
    return 0 if entered else 1


def _answer(read: Callable[[str], str]) -> Callable[[str], str]:
    def ask(question: str) -> str:
        try:
            return read(question)
        except EOFError:
            raise StackError("nobody answers; run setup in a terminal") from None

    return ask


def _check(stack: RunningStack, _: argparse.Namespace) -> int:
    """Check every secret and rule, and the vendors' answers to the credentials."""
    wrong = 0
    for finding in check(stack):
        if finding.problem:
            wrong += 1
            say(f"{finding.what}: {finding.problem}", "wrong", "red")
        else:
            say(finding.what, "right", "green")
    return 1 if wrong else 0


def _status(stack: RunningStack, options: argparse.Namespace) -> int:
    """Count queued messages, quarantined items by reason; name what is odd."""
    sqs: Any = stack.client("sqs")
    for name in (
        "CohortQueue",
        "CohortDeadLetterQueue",
        "CurrentsLoaderDeadLetterQueue",
    ):
        if name not in stack.resources:
            continue
        counts = sqs.get_queue_attributes(
            QueueUrl=stack.resources[name],
            AttributeNames=[
                "ApproximateNumberOfMessages",
                "ApproximateNumberOfMessagesNotVisible",
            ],
        )["Attributes"]
        say(f"{sum(map(int, counts.values())):8,}  messages in {name}")
    for flow in ("cohorts", "currents"):
        reasons = Counter(
            item.reason for item in quarantined_items(stack, flow, options.date)
        )
        for reason, number in reasons.most_common():
            say(f"{number:8,}  quarantined in {flow}: {reason}")
    for what, number in kept_objects(stack).items():
        say(f"{number:8,}  {what}")
    for text, still in waiting(stack, options.date):
        say(text, *(("wrong", "red") if still else ("past ", "yellow")))
    for cohort in overviews(stack):
        if cohort.two_senders:
            say(f"cohort {cohort.key.cohort}: two connections feed it", "wrong", "red")
        if cohort.removal_held or cohort.mislabelled:
            why = "its removal is held" if cohort.removal_held else "it is mislabelled"
            say(
                f"cohort {cohort.key.cohort}: a list waits for `release`, as {why}",
                "waits",
                "yellow",
            )
    return 0


def _cohorts(stack: RunningStack, _: argparse.Namespace) -> int:
    """List the cohorts: each one's newest sync, its members, and who is missing."""
    for cohort in overviews(stack):
        note = "  (removal held)" if cohort.removal_held else ""
        note += "  (a diff looks like the full list)" if cohort.mislabelled else ""
        note += "  (silent)" if cohort.silent else ""
        note += "  (two connections feed it)" if cohort.two_senders else ""
        say(
            f"{cohort.key.cohort:>12}  {cohort.newest:%Y-%m-%d %H:%M} UTC  "
            f"{cohort.name}{note}"
        )
        say(f"{cohort.members:>12,}  members in Braze")
        for reason, number in sorted(cohort.rejected.items()):
            say(f"{number:>12,}  rejected by Braze: {reason}")
        for reason, number in sorted(cohort.skipped.items()):
            say(f"{number:>12,}  skipped: {reason}")
    return 0


def _release(stack: RunningStack, options: argparse.Namespace) -> int:
    """Take a held or mislabelled list for the full one: whoever it omits is removed."""
    released = release(stack, options.cohort)
    if not released:
        say(f"no sync of cohort {options.cohort} waits for you", "wrong", "red")
        return 1
    say(f"{released:8,}  lists of cohort {options.cohort} released")
    return 0


def _reassert(stack: RunningStack, options: argparse.Namespace) -> int:
    """Push all members of a cohort to Braze again (one write for each)."""
    queued = reassert(stack, options.cohort)
    say(f"{queued:8,}  cohorts with the id {options.cohort} will be reasserted")
    return 0


def _replay(stack: RunningStack, options: argparse.Namespace) -> int:
    """Replay all that was set apart: quarantine, given-up records, dead letters."""
    events = replay_events(stack, quarantined_items(stack, "currents", options.date))
    for what, number in events.counts.items():
        say(f"{number:8,}  events {what}")
    if events.changed:
        say(
            f"{len(events.changed):8,}  of these get another key under mapping "
            f"{MAPPING_VERSION}; Mixpanel shows one that it already has twice:"
        )
    for each in events.changed:
        say(f"{each.position} (mapping {each.mapping}): {each.before} → {each.now}")
    pages = replay_pages(stack, quarantined_items(stack, "cohorts", options.date))
    for what, number in pages.items():
        say(f"{number:8,}  pages {what}")
    say(f"{redrive(stack):8,}  pages from the dead-letter queue")
    for where, counts in (
        ("quarantined files", replay_files(stack, options.date)),
        ("records that Kinesis gave up", replay_given_up(stack, options.date)),
        ("the loader's dead letters", replay_announced(stack)),
    ):
        for what, number in counts.items():
            say(f"{number:8,}  of {where}: {what}")
    return 0


def _remove(stack: RunningStack, options: argparse.Namespace) -> int:
    """Say what stays when the stack is removed, and why; with --confirm remove it."""
    if not options.stack:
        raise StackError("--stack names the one to remove; Ctrl-C ends the local cloud")
    kept = list(staying(stack))
    for each in kept:
        say(f"{each.logical_id}: {each.why} ({each.physical_id})", "stays", "green")
    say(
        "functions, queues, alarms, roles and the API with its addresses",
        "goes ",
        "red",
    )
    if messages := waiting_messages(stack):
        say(f"{messages} messages that wait in the queues go with them", "goes ", "red")
    if options.confirm is None:
        say(
            f"nothing is changed; to remove the stack: remove --confirm {options.stack}"
        )
        return 0
    if options.confirm != options.stack:
        say("--confirm is not the name given to --stack", "wrong", "red")
        return 1
    remove(stack, options.stack)
    say(f"{options.stack} is removed; to delete what stays as well:")
    for each in kept:
        say(f"  {each.delete}")
    return 0


def _rules(options: argparse.Namespace) -> int:
    """Check a file of event rules, or print the JSON schema of one."""
    if options.file is None:
        console.print_json(data=Rules.model_json_schema())
        return 0
    try:
        rules = read_rules(options.file.read_bytes())
    except (OSError, BridgeError) as error:
        say(f"{options.file}: {error}", "wrong", "red")
        return 1
    for odd in rules.unknown_names():
        say(odd, "odd  ", "yellow")
    say(f"{options.file} can be used", "right", "green")
    return 0


def _day(text: str) -> str:
    """A day, in the form of the quarantine's keys."""
    try:
        return f"{datetime.strptime(text, '%Y-%m-%d').replace(tzinfo=UTC):%Y-%m-%d}"
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no day YYYY-MM-DD") from None


def _first_line(function: Callable[..., int]) -> str:
    return (function.__doc__ or "").partition("\n")[0]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bridge", description=__doc__)
    parser.add_argument("--stack", help="name of a deployed stack")
    parser.add_argument("--region", help="its AWS region, if not the default one")
    parser.add_argument(
        "--description",
        type=Path,
        default=LOCAL,
        help="file of the local cloud, for use without --stack (%(default)s)",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("setup", help=_first_line(_setup))
    command.add_argument("--show", action="store_true", help="ask nothing, only show")
    command.set_defaults(run=_setup)
    commands.add_parser("check", help=_check.__doc__).set_defaults(run=_check)
    commands.add_parser("cohorts", help=_cohorts.__doc__).set_defaults(run=_cohorts)
    for name, on_cohort in (("release", _release), ("reassert", _reassert)):
        command = commands.add_parser(name, help=on_cohort.__doc__)
        command.add_argument("cohort", help="the cohort's id in Mixpanel")
        command.set_defaults(run=on_cohort)
    for name, of_a_day in (("status", _status), ("replay", _replay)):
        command = commands.add_parser(name, help=of_a_day.__doc__)
        day = "of the quarantine, this day only: YYYY-MM-DD"
        command.add_argument("--date", type=_day, help=day)
        command.set_defaults(run=of_a_day)
    command = commands.add_parser("remove", help=_remove.__doc__)
    command.add_argument("--confirm", metavar="NAME", help="the stack's name once more")
    command.set_defaults(run=_remove)
    command = commands.add_parser("rules", help=_rules.__doc__)
    command.add_argument(
        "file", nargs="?", type=Path, help="the rules; without it the schema is printed"
    )
    command.set_defaults(without_stack=_rules)
    return parser


if __name__ == "__main__":
    sys.exit(main())
