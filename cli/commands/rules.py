"""Commands that try a change before it is made: plan, and the rules for events."""

import base64
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from bridge.aws.clients import answering
from bridge.aws.objects import read_object
from bridge.currents.decode.avro import MAGIC
from bridge.currents.mapping.rules import Rules, read_rules
from bridge.errors import BridgeError, MalformedInput
from cli.app import Session, Yes, app, examples, group, session
from cli.output import Exit, Output, cells, printable, table
from cli.plan_cohorts import CohortPlan, plan_import, plan_webhook
from cli.plan_events import Difference, EventsPlan, difference, fates
from cli.replay import mappers_of
from cli.stack import RunningStack, StackError

PANEL = "Try a change first"
MAX_SHOWN = 5
SAMPLES = "quarantine/currents/"

Files = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE…",
        help="Saved bodies or Avro files; a sample of events/ will do, too.",
    ),
]


@app.command(
    rich_help_panel=PANEL,
    epilog=examples(
        "bridge plan events/cohort_webhook.json",
        "bridge plan events/currents_loader.avro --requests",
        "bridge plan --rules new.json events/currents_receiver.json",
    ),
)
def plan(
    context: typer.Context,
    files: Files,
    rules: Annotated[
        Path | None,
        typer.Option(help="Show the difference that this file of rules would make."),
    ] = None,
    requests: Annotated[
        bool, typer.Option("--requests", help="Show the requests in full.")
    ] = False,
) -> int:
    """Say what a saved call or file would bring about under the deployed settings.

    FILE is the body of a call of the cohort webhook, of the cohort import or of
    Currents, or an Avro file. Nothing is written and nothing is sent.
    """
    now = session(context)
    read = [(str(path), _read(path)) for path in files]
    if rules is not None:
        return _difference(now, _parsed(rules), read)
    status = Exit.DONE
    for name, content in read:
        body = _body_of(content)
        now.out.say(name)
        kind = _kind_of(body)
        try:
            if kind == "events":
                _show_events(now.out, _planned_events(now.stack, name, body), requests)
            else:
                door = plan_webhook if kind == "webhook" else plan_import
                for each in door(now.stack, body):
                    _show_cohort(now.out, each, requests)
        except MalformedInput as error:
            now.out.document({"refused": error.reason, "message": str(error)})
            now.out.say(
                f"answered 400 ({error.reason}: {error}); the bytes go to the "
                "quarantine, and Mixpanel pauses the sync",
                "wrong",
                "red",
            )
            status = Exit.DIFFERS
    return status


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StackError(f"{path} cannot be read: {error.strerror}") from None


def _body_of(content: bytes) -> bytes:
    """The body in a saved event of the HTTP API, or the content itself."""
    if content.startswith(MAGIC):
        return content
    try:
        event = json.loads(content)
    except (ValueError, RecursionError):
        return content
    if not isinstance(event, dict):
        return content
    if "requestContext" in event and isinstance(event.get("body"), str):
        body: str = event["body"]
        is_encoded = event.get("isBase64Encoded")
        return base64.b64decode(body) if is_encoded else body.encode()
    return content


def _kind_of(body: bytes) -> str:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return "events"
    if isinstance(data, dict) and "cohort_changes" in data:
        return "import"
    is_postback = isinstance(data, dict) and ("parameters" in data or "action" in data)
    return "webhook" if is_postback and "event_type" not in data else "events"


def _planned_events(stack: RunningStack, name: str, body: bytes) -> EventsPlan:
    planned = EventsPlan()
    mapper = mappers_of(stack)[stack.anonymous]
    for fate in fates(name, body, mapper, time.time()):
        planned.add(fate)
    return planned


def _show_events(out: Output, planned: EventsPlan, requests: bool) -> None:
    rows = [
        {"type": kind, "what": what, "why": why, "events": number}
        for (kind, what, why), number in sorted(planned.fates.items())
    ]
    calls = planned.requests
    out.document(
        {"kind": "events", "events": planned.events, "fates": rows, "requests": calls}
    )
    shown = table("event type", "what becomes of it", "why", "events", right=["events"])
    for row in rows:
        shown.add_row(*cells(*row.values()))
    out.show(shown)
    out.say(f"{len(calls):,} calls of Mixpanel: POST /import?strict=1")
    if requests:
        _show_requests(out, calls)


def _show_cohort(out: Output, each: CohortPlan, requests: bool) -> None:
    out.document({"kind": "cohort page", **asdict(each)})
    out.say(
        f"cohort {each.cohort} ({each.name}), {each.action}, page {each.page}, "
        f"{each.members:,} members"
    )
    for what, number in sorted(each.outcomes.items()):
        out.say(f"{number:>10,}  {what}")
    if each.look_ups:
        out.say(f"{each.look_ups:>10,}  devices are looked up at Braze first")
    out.say(f"{len(each.requests):>10,}  calls of Braze")
    calls = [asdict(call) for call in each.requests]
    if requests:
        _show_requests(out, calls)
    for call in [] if requests else calls[:MAX_SHOWN]:
        text = json.dumps(call["body"])
        out.say(f"    POST {call['path']}  {text[:80]}{'…' if text[80:] else ''}")
    for text in each.then:
        out.paragraph(f"then: {text}", indent=4)


def _show_requests(out: Output, calls: list[dict[str, Any]]) -> None:
    for call in calls:
        out.say(f"POST {call['path']}")
        for line in json.dumps(call["body"], indent=2).splitlines():
            out.say(line)


def _difference(now: Session, rules: Rules, files: list[tuple[str, bytes]]) -> int:
    bodies = [(name, _body_of(content)) for name, content in files]
    total, changes = difference(now.stack, rules, bodies)
    now.out.document({"events": total, "changes": changes})
    _show_difference(now.out, total, changes)
    return Exit.DIFFERS if changes else Exit.DONE


def _show_difference(out: Output, total: int, changes: list[Difference]) -> None:
    shown = table("event type", "now", "with these rules", "events", right=["events"])
    for each in changes:
        shown.add_row(*cells(each.kind, each.before, each.after, each.events))
    if changes:
        out.show(shown)
    changed = sum(each.events for each in changes)
    out.say(f"{changed:,} of {total:,} events would become another thing")


rules_group = group("Check, show and replace the rules for events.")
app.add_typer(rules_group, name="rules", rich_help_panel=PANEL)

RulesFileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The rules.")]


@rules_group.command(epilog=examples("bridge rules check new.json"))
def check(context: typer.Context, file: RulesFileArgument) -> int:
    """Check a file of event rules; no stack is needed."""
    out = session(context).out
    rules = _parsed(file)
    odd = list(rules.unknown_names())
    out.document({"file": str(file), "odd": odd})
    for each in odd:
        out.say(each, "odd  ", "yellow")
    out.say(f"{file} can be used", "right", "green")
    return Exit.DONE


@rules_group.command(epilog=examples("bridge rules schema > schema.json"))
def schema(context: typer.Context) -> None:
    """Print the JSON schema of the rules."""
    session(context).out.console.print_json(data=Rules.model_json_schema())


@rules_group.command("show", epilog=examples("bridge rules show > now.json"))
def show_rules(context: typer.Context) -> int:
    """Print the rules that are in force."""
    now = session(context)
    content = _in_force(now.stack)
    if content is None:
        now.out.wrong("no rules are in force")
        return Exit.WRONG
    for line in content.decode("utf-8", "replace").splitlines():
        now.out.console.print(printable(line))
    return Exit.DONE


@rules_group.command(
    epilog=examples(
        "bridge rules put new.json events/currents_receiver.json",
        "bridge rules put new.json --yes",
    )
)
def put(
    context: typer.Context,
    file: RulesFileArgument,
    samples: Annotated[
        list[Path] | None,
        typer.Argument(metavar="SAMPLE…", help="Events to show the difference with."),
    ] = None,
    yes: Yes = False,
) -> int:
    """Put new rules in force, once they are checked and the difference is shown.

    The importer reads them within three minutes. S3 keeps the earlier version.
    """
    now = session(context)
    stack, out = now.stack, now.out
    if not stack.rules_key:
        raise StackError(
            "the stack has no EventRules: "
            "make deploy SET=EventRules=rules/currents.json"
        )
    rules = _parsed(file)
    for each in rules.unknown_names():
        out.note(f"odd    {each}")
    # With its secret: what hashes needs a key.
    mappers_of(stack, rules)
    read = [(str(path), _body_of(_read(path))) for path in samples or []]
    changes: list[Difference] = []
    if read:
        total, changes = difference(stack, rules, read)
        _show_difference(out, total, changes)
    where = f"s3://{stack.resources['DataBucket']}/{stack.rules_key}"
    if not now.confirmed(f"{file} replaces {where}.", yes=yes):
        out.note("nothing is changed")
        return Exit.WRONG
    with answering("rules"):
        stack.client("s3").put_object(
            Bucket=stack.resources["DataBucket"],
            Key=stack.rules_key,
            Body=_read(file),
            ContentType="application/json",
        )
    out.document({"put": where, "changes": changes})
    out.say(f"{file} is at {where}, in force within three minutes", "right", "green")
    return Exit.DONE


def _parsed(file: Path) -> Rules:
    try:
        return read_rules(_read(file))
    except BridgeError as error:
        raise StackError(f"{file}: {error}") from None


def _in_force(stack: RunningStack) -> bytes | None:
    if not stack.rules_key:
        return None
    with answering("rules"):
        return read_object(
            stack.client("s3"), stack.resources["DataBucket"], stack.rules_key
        )
