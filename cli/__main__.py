"""`bridge COMMAND`: what an operator does with a running stack."""

import argparse
import sys
import traceback
from collections import Counter
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
from cli.replay import kept, redrive, replay_events, replay_pages
from cli.stack import RunningStack, StackError

console = Console(highlight=False, markup=False, soft_wrap=True)
LOCAL = Path(".sandbox/description.json")
INTERRUPTED = 130
"""The exit status of a command that Ctrl-C stopped, as shells have it."""

UNPRINTABLE = "\N{REPLACEMENT CHARACTER}"


def say(text: str, label: str = "", color: str = "") -> None:
    """Print a line; names and reasons from outside cannot steer the terminal in it."""
    shown = "".join(each if each.isprintable() else UNPRINTABLE for each in text)
    console.print(Text.assemble((f"{label}  " if label else "", color), shown))


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 1 if something is wrong, which is told in one line.

    A foreign error is told by its name alone: its message may quote what was sent.
    """
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except (StackError, BridgeError) as error:
        problem = str(error)
    except ClientError as error:
        problem = f"AWS refuses {error.operation_name}: {error_code(error)}"
    except BotoCoreError as error:
        hint = "" if options.stack else ": is `make run KEEP=1` running?"
        problem = f"AWS cannot be asked ({type(error).__name__}){hint}"
    except KeyboardInterrupt:
        say("half-way; the command can be repeated", "stopped", "red")
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - see above
        at = traceback.extract_tb(error.__traceback__)[-1]
        kind = type(error).__name__
        problem = f"a fault of the bridge, {kind} at {at.filename}:{at.lineno}"
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


def _check(stack: RunningStack, _: argparse.Namespace) -> int:
    """Ask every secret and both vendors."""
    wrong = 0
    for finding in check(stack):
        if finding.problem:
            wrong += 1
            say(f"{finding.what}: {finding.problem}", "wrong", "red")
        else:
            say(finding.what, "right", "green")
    return 1 if wrong else 0


def _status(stack: RunningStack, options: argparse.Namespace) -> int:
    """How much waits, and what was put aside and why."""
    sqs: Any = stack.client("sqs")
    for name in ("CohortQueue", "CohortDeadLetterQueue"):
        counts = sqs.get_queue_attributes(
            QueueUrl=stack.resources[name],
            AttributeNames=[
                "ApproximateNumberOfMessages",
                "ApproximateNumberOfMessagesNotVisible",
            ],
        )["Attributes"]
        say(f"{sum(map(int, counts.values())):8,}  messages in {name}")
    for flow in ("cohorts", "currents"):
        reasons = Counter(item.reason for item in kept(stack, flow, options.date))
        for reason, number in reasons.most_common():
            say(f"{number:8,}  put aside in {flow}: {reason}")
    return 0


def _cohorts(stack: RunningStack, _: argparse.Namespace) -> int:
    """Every cohort: its newest sync, and who was skipped there and why."""
    for cohort in overviews(stack):
        held = "  (sweep held)" if cohort.held else ""
        say(
            f"{cohort.key.cohort:>12}  {cohort.newest:%Y-%m-%d %H:%M} UTC  "
            f"{cohort.name}{held}"
        )
        for reason, number in sorted(cohort.skipped.items()):
            say(f"{number:>12,}  skipped: {reason}")
    return 0


def _release(stack: RunningStack, options: argparse.Namespace) -> int:
    """Let a held sweep of a cohort go on."""
    done = release(stack, options.cohort)
    if not done:
        say(f"no sweep of cohort {options.cohort} is held", "wrong", "red")
        return 1
    say(f"{done:8,}  sweeps of cohort {options.cohort} released")
    return 0


def _reassert(stack: RunningStack, options: argparse.Namespace) -> int:
    """Tell Braze of all members of a cohort again (a write each)."""
    done = reassert(stack, options.cohort)
    say(f"{done:8,}  cohorts with the id {options.cohort} are told again")
    return 0


def _replay(stack: RunningStack, options: argparse.Namespace) -> int:
    """Bring back what was put aside, and the dead-letter queue."""
    events = replay_events(stack, kept(stack, "currents", options.date))
    for what, number in events.counts.items():
        say(f"{number:8,}  events {what}")
    if events.changed:
        say(
            f"{len(events.changed):8,}  of these are another event for Mixpanel under "
            f"mapping {MAPPING_VERSION}; one that it has already will stand twice:"
        )
    for each in events.changed:
        told = f"{each.position} (mapping {each.mapping}): {each.before} → {each.now}"
        say(told)
    done = replay_pages(stack, kept(stack, "cohorts", options.date))
    for what, number in done.items():
        say(f"{number:8,}  pages {what}")
    say(f"{redrive(stack):8,}  pages from the dead-letter queue")
    return 0


def _rules(options: argparse.Namespace) -> int:
    """Say what is wrong with a file of rules for events, or print their JSON schema."""
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
    """A day as the quarantine's keys have it."""
    try:
        return f"{datetime.strptime(text, '%Y-%m-%d').replace(tzinfo=UTC):%Y-%m-%d}"
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no day YYYY-MM-DD") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bridge", description=__doc__)
    parser.add_argument("--stack", help="name of a deployed stack")
    parser.add_argument("--region", help="its AWS region, if not the default one")
    parser.add_argument(
        "--description",
        type=Path,
        default=LOCAL,
        help="without --stack: what the local cloud wrote (%(default)s)",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("check", help=_check.__doc__).set_defaults(run=_check)
    commands.add_parser("cohorts", help=_cohorts.__doc__).set_defaults(run=_cohorts)
    for name, on_cohort in (("release", _release), ("reassert", _reassert)):
        command = commands.add_parser(name, help=on_cohort.__doc__)
        command.add_argument("cohort", help="the cohort's id in Mixpanel")
        command.set_defaults(run=on_cohort)
    for name, of_a_day in (("status", _status), ("replay", _replay)):
        command = commands.add_parser(name, help=of_a_day.__doc__)
        day = "one day alone, YYYY-MM-DD"
        command.add_argument("--date", type=_day, help=day)
        command.set_defaults(run=of_a_day)
    command = commands.add_parser("rules", help=_rules.__doc__)
    command.add_argument("file", nargs="?", type=Path, help="without: the schema")
    command.set_defaults(without_stack=_rules)
    return parser


if __name__ == "__main__":
    sys.exit(main())
