"""Commands about what was quarantined: look at it, take it out, bring it back."""

import base64
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Annotated, Any

import typer

from bridge.currents.mapping.transform import MAPPING_VERSION
from bridge.quarantine import QuarantinedItem
from cli.app import Day, Session, app, examples, group, session
from cli.explain import Consequence, explain
from cli.output import Exit, Output, moment, plain
from cli.quarantined import FLOWS, Filter, Found, count_objects, found, one
from cli.replay import ChangedKey, Pace, Replay, redrive, replay_events, replay_pages
from cli.replay_places import replay_announced, replay_file, replay_given_up
from cli.stack import StackError

PANEL = "Events and the quarantine"

BYTES_PER_SECOND = 500_000.0
"""Half of what one shard of the stream takes; the records are packed, so that this is
some thousand events, within what Mixpanel takes of a project."""

quarantine = group("See what could not be processed, one by one, with its reason.")
app.add_typer(quarantine, name="quarantine", rich_help_panel=PANEL)


def _flow(value: str) -> str:
    if value and value not in FLOWS:
        raise typer.BadParameter(f"{value!r} is none of {', '.join(FLOWS)}")
    return value


Flow = Annotated[
    str, typer.Option(callback=_flow, help="cohorts or currents; both if not given.")
]
ReasonOption = Annotated[
    str, typer.Option("--reason", help="This reason; * is any text.")
]
KindOption = Annotated[
    str, typer.Option("--type", help="This event type; * is any text.")
]
FieldOption = Annotated[
    str, typer.Option("--field", help="At fault was this field; * is any text.")
]


def _filter(flow: str, reason: str, kind: str, day: str | None, field: str) -> Filter:
    return Filter(flow, reason, kind, day, field)


@quarantine.command(
    "list",
    epilog=examples(
        "bridge quarantine list",
        "bridge quarantine list --flow currents --reason bad_time --day 2026-11-30",
        "bridge quarantine list --type '*email*' --json",
    ),
)
def list_items(
    context: typer.Context,
    flow: Flow = "",
    reason: ReasonOption = "",
    kind: KindOption = "",
    day: Day = None,
    field: FieldOption = "",
    limit: Annotated[
        int, typer.Option(min=0, help="Show so many of them; 0 shows all.")
    ] = 20,
) -> None:
    """List what is quarantined, the earliest first, and count it by reason.

    `quarantine show` takes what a line begins with.
    """
    now = session(context)
    counts: Counter[tuple[str, str, str]] = Counter()
    wanted = _filter(flow, reason, kind, day, field)
    number = 0
    for each in found(now.stack, wanted):
        number += 1
        counts[each.flow, each.item.reason, each.item.field] += 1
        if number <= limit or not limit:
            now.out.row(_described(each), partial(_line, each))
    if limit and number > limit:
        now.out.note(f"… and {number - limit:,} more; --limit 0 shows all")
    for (of_flow, why, at), total in counts.most_common():
        where = f" at {at}" if at else ""
        now.out.say(f"{total:>10,}  {of_flow}: {why}{where}")
    if not number:
        now.out.note("nothing is quarantined that this asks for")


def _line(each: Found) -> str:
    item = each.item
    what = item.kind or ("a file" if each.is_file else "-")
    at = f" at {item.field}" if item.field else ""
    return f"{each.place.reference}  {item.reason}{at}, {what}"


def _described(each: Found) -> dict[str, Any]:
    item: dict[str, Any] = plain(each.item)
    item["original"] = base64.b64encode(each.item.original).decode()
    at = each.at.isoformat()
    return {"reference": each.place.reference, "flow": each.flow, "at": at, **item}


@quarantine.command(
    epilog=examples(
        "bridge quarantine show currents/date=2026-11-30/hour=08/shard-0-17.ndjson:3"
    )
)
def show(
    context: typer.Context,
    reference: Annotated[
        str, typer.Argument(help="As it stands in `quarantine list`.")
    ],
) -> int:
    """Show one item: why it is here, what to do about it, and what it was."""
    now = session(context)
    each = one(now.stack, reference)
    if each is None:
        now.out.wrong(f"nothing is quarantined at {reference}")
        return Exit.WRONG
    now.out.document(_described(each))
    item = each.item
    facts = {
        "reason": item.reason,
        "field": item.field,
        "message": item.message,
        "event type": item.kind,
        "from": item.position,
        "arrived": f"{moment(item.arrived or each.at)} UTC",
        "mapping": item.mapping,
    }
    for name, value in facts.items():
        if value:
            now.out.say(f"{name:<12} {value}")
    if text := _sentence(each):
        now.out.paragraph(text, indent=13)
    if each.is_file:
        now.out.say("the whole file is kept; `replay` loads it once more")
        return Exit.DONE
    for line in _readable(item.original).splitlines():
        now.out.say(line)
    return Exit.DONE


def _sentence(each: Found) -> str:
    consequences = (
        (Consequence.EVENT_QUARANTINED,)
        if each.flow == "currents"
        else (Consequence.MESSAGE_QUARANTINED, Consequence.PAGE_REFUSED)
    )
    texts = (explain(each.item.reason, which) for which in consequences)
    return next(filter(None, texts), "")


def _readable(original: bytes) -> str:
    try:
        return json.dumps(json.loads(original), indent=2)
    except (ValueError, RecursionError):
        return original.decode("utf-8", "backslashreplace")


@quarantine.command(
    epilog=examples(
        "bridge quarantine export --reason bad_time --to bad_time.ndjson",
        "bridge quarantine export --flow cohorts | jq .reason",
    )
)
def export(
    context: typer.Context,
    flow: Flow = "",
    reason: ReasonOption = "",
    kind: KindOption = "",
    day: Day = None,
    field: FieldOption = "",
    to: Annotated[
        Path | None, typer.Option(help="The file; standard output if not given.")
    ] = None,
) -> None:
    """Write quarantined items as JSON, a line each; `original` is base64.

    The lines are those of the quarantine's own objects, with reference and flow added.
    They hold personal data: a file is for its owner alone.
    """
    now = session(context)
    wanted = _filter(flow, reason, kind, day, field)
    number = 0
    with _opened(now.out, to) as file, _counting(now, wanted, "exporting") as items:
        for each in items:
            file.write(json.dumps(_described(each)) + "\n")
            number += 1
    now.out.note(f"{number:,} items exported")


@contextmanager
def _opened(out: Output, to: Path | None) -> Iterator[IO[str]]:
    if to is None:
        yield out.console.file
        return
    try:
        handle = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError as error:
        raise StackError(f"{to} cannot be written: {error.strerror}") from None
    with os.fdopen(handle, "w") as file:
        yield file


@contextmanager
def _counting(now: Session, wanted: Filter, what: str) -> Iterator[Iterator[Found]]:
    """The items, with a bar that grows by the objects that were read."""
    total = count_objects(now.stack, wanted) if now.out.errors.is_terminal else None
    with now.out.progress(what, total) as advance:

        def counted() -> Iterator[Found]:
            last = ""
            for each in found(now.stack, wanted):
                if each.place.object != last:
                    last = each.place.object
                    advance(1)
                yield each

        yield counted()


@app.command(
    rich_help_panel=PANEL,
    epilog=examples(
        "bridge replay --dry-run",
        "bridge replay --day 2026-11-29",
        "bridge replay --flow currents --reason rejected --type '*email.Click'",
    ),
)
def replay(
    context: typer.Context,
    flow: Flow = "",
    reason: ReasonOption = "",
    kind: KindOption = "",
    day: Day = None,
    field: FieldOption = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count only; nothing is brought back.")
    ] = False,
    bytes_per_second: Annotated[
        float, typer.Option(min=1.0, help="How fast packed events enter the stream.")
    ] = BYTES_PER_SECOND,
) -> int:
    """Bring back what was set apart: quarantine, given-up records, dead letters.

    It can be repeated: Mixpanel shows an event once, and a page that took effect
    changes nothing. With --reason, --type or --field only quarantined items come back.
    """
    now = session(context)
    wanted = _filter(flow, reason, kind, day, field)
    changed: list[int] = [0]

    def noticed(each: ChangedKey) -> None:
        changed[0] += 1
        line = f"{each.position} (mapping {each.mapping}): {each.before} → {each.now}"
        now.out.row({"changed": each}, lambda: line)

    work = Replay(now.stack, dry_run, noticed, Pace(bytes_per_second))
    counts = _replay(now, work, wanted)
    now.out.document({"dry_run": dry_run, "changed": changed[0], "counts": counts})
    if changed[0]:
        now.out.say(
            f"{changed[0]:8,}  of these get another key under mapping "
            f"{MAPPING_VERSION}; Mixpanel shows one that it already has twice (above)"
        )
    for where, each in counts.items():
        for what, number in each.items():
            now.out.say(f"{number:8,}  {where} {what}")
    if dry_run:
        now.out.say("nothing was brought back: this was a dry run")
    return Exit.DONE


def _replay(now: Session, work: Replay, wanted: Filter) -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = {}
    if "currents" in wanted.flows:
        files = Counter[str]()
        only = Filter("currents", wanted.reason, wanted.kind, wanted.day, wanted.field)
        with _counting(now, only, "replaying events") as items:
            events = _without_files(
                items, lambda each: files.update(replay_file(work, each))
            )
            counts["events"] = replay_events(work, events)
        counts["of quarantined files:"] = files
    if "cohorts" in wanted.flows:
        only = Filter("cohorts", wanted.reason, wanted.kind, wanted.day, wanted.field)
        with _counting(now, only, "replaying pages") as items:
            counts["pages"] = replay_pages(work, (each.item for each in items))
        if not wanted.picks_items:
            counts["pages"] += Counter({"from the dead-letter queue": redrive(work)})
    if "currents" in wanted.flows and not wanted.picks_items:
        counts["of records that Kinesis gave up:"] = replay_given_up(work, wanted.day)
        counts["of the loader's dead letters:"] = replay_announced(work)
    return {where: +found for where, found in counts.items() if +found}


def _without_files(
    items: Iterator[Found], load: Callable[[Found], None]
) -> Iterator[QuarantinedItem]:
    for each in items:
        if each.is_file:
            load(each)
        else:
            yield each.item
