"""The command that shows both flows on one screen."""

import time
from contextlib import nullcontext
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.text import Text

from cli.app import Day, app, examples, session
from cli.output import cells, duration, moment, printable, table
from cli.status import Status, gather

ASK_MIXPANEL = 120.0
"""Seconds: half of the queries that Mixpanel takes an hour are left to others."""


@app.command(
    epilog=examples(
        "bridge status",
        "bridge status --watch",
        "bridge status --day 2026-11-30 --json",
    )
)
def status(
    context: typer.Context,
    day: Day = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show it again and again, until Ctrl-C.")
    ] = False,
    every: Annotated[
        float, typer.Option(min=1, help="Seconds between two looks of --watch.")
    ] = 5.0,
) -> None:
    """Show both flows on one screen: what came, what waits and why, what is kept."""
    now = session(context)
    seen = gather(now.stack, day)
    if not watch:
        now.out.document(seen)
        now.out.show(screen(seen))
        return
    asked = time.monotonic()
    live = Live(console=now.out.console, auto_refresh=False)
    with nullcontext() if now.out.as_json else live:
        while True:
            now.out.document(seen)
            if not now.out.as_json:
                live.update(screen(seen), refresh=True)
            time.sleep(every)
            known = seen.mixpanel
            if time.monotonic() - asked > ASK_MIXPANEL:
                asked = time.monotonic()
                seen = gather(now.stack, day)
            else:
                seen = gather(now.stack, day, known or None)


def screen(seen: Status) -> RenderableType:
    """The whole screen."""
    title = f"{printable(seen.stack)}  {moment(seen.at)} UTC"
    return Group(
        Text(title, "bold"),
        Text("\nCohorts, Mixpanel → Braze", "bold"),
        _cohorts(seen),
        *_details(seen),
        Text("\nEvents, Braze → Mixpanel, today", "bold"),
        *_events(seen),
        Text("\nWhat waits", "bold"),
        *_waits(seen),
        Text("\nWhat was set apart", "bold"),
        *_set_apart(seen),
    )


def _cohorts(seen: Status) -> RenderableType:
    numbers = ("Mixpanel", "sent", "in", "skipped", "rejected")
    shown = table("cohort", "name", *numbers, "last sync", "every", right=numbers)
    for each in seen.cohorts:
        shown.add_row(
            *cells(
                each.cohort,
                each.name,
                seen.mixpanel.get(each.cohort, "-"),
                each.sent,
                each.members,
                sum(each.skipped.values()),
                sum(each.rejected.values()),
                moment(each.last_sync),
                duration(each.gap) if each.gap else "-",
            )
        )
    return shown if seen.cohorts else Text("  no sync of any cohort has arrived yet")


def _details(seen: Status) -> list[RenderableType]:
    lines: list[RenderableType] = []
    for each in seen.cohorts:
        for reason, number in sorted(each.skipped.items()):
            lines.append(_count(number, f"skipped in {each.cohort}: {reason}"))
        for reason, number in sorted(each.rejected.items()):
            what = f"rejected by Braze in {each.cohort}: {reason}"
            lines.append(_count(number, what))
    if seen.mixpanel_problem:
        lines.append(_line("", f"Mixpanel's counts: {seen.mixpanel_problem}", "yellow"))
    return lines


def _events(seen: Status) -> list[RenderableType]:
    events = seen.events
    lines = [
        _count(events.received, "received"),
        _count(events.delivered, "delivered"),
    ]
    for rule, number in sorted(events.filtered.items()):
        lines.append(_count(number, f"filtered: {rule}"))
    for reason, number in sorted(events.quarantined.items()):
        lines.append(_count(number, f"quarantined: {reason}"))
    lag = "unknown" if events.lag is None else duration(events.lag)
    return [*lines, _line("", f"lag: {lag}", "")]


def _waits(seen: Status) -> list[RenderableType]:
    lines: list[RenderableType] = [
        _count(number, f"messages in {name}") for name, number in seen.queues.items()
    ]
    if seen.oldest_page:
        lines.append(
            _line(
                "waits", f"the oldest page, for {duration(seen.oldest_page)}", "yellow"
            )
        )
    for each in seen.cohorts:
        if each.two_senders:
            what = f"cohort {each.cohort}: two connections feed it"
            lines.append(_line("wrong", what, "red"))
        if each.removal_held or each.mislabelled:
            why = "its removal is held" if each.removal_held else "it is mislabelled"
            what = f"cohort {each.cohort}: a list waits for `release`, as {why}"
            lines.append(_line("waits", what, "yellow"))
        if each.silent:
            what = f"cohort {each.cohort}: no sync since {moment(each.last_sync)} UTC"
            lines.append(_line("silent", what, "yellow"))
    for text, still in seen.stream:
        lines.append(_line(*(("wrong", text, "red") if still else ("past", text, ""))))
    for reason in seen.waiting:
        what = f"{reason.where}, {reason.times} times: {reason.reason}: {reason.why}"
        lines.append(_line("waits", what, "yellow"))
    return lines


def _set_apart(seen: Status) -> list[RenderableType]:
    lines: list[RenderableType] = [
        _count(number, f"quarantined in {flow}: {reason}")
        for flow, reasons in seen.quarantined.items()
        for reason, number in sorted(reasons.items())
    ]
    lines += [_count(number, what) for what, number in seen.kept.items()]
    return lines or [Text("  nothing")]


def _count(number: int, what: str) -> RenderableType:
    return Text(f"{number:>10,}  {printable(what)}")


def _line(label: str, what: str, color: str) -> RenderableType:
    text = Text.assemble((f"{label}  " if label else "", color), printable(what))
    return Padding(text, (0, 0, 0, 2))
