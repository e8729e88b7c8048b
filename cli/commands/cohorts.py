"""Commands about cohorts and their members."""

from collections.abc import Iterator
from functools import partial
from typing import Annotated

import typer
from rich.text import Text

from cli import cohorts as ask
from cli.app import CohortId, app, examples, session
from cli.explain import Consequence, explain
from cli.members import Answer, MemberRow, State, answers, members, row_of
from cli.members import skipped as skipped_rows
from cli.output import Exit, Output, cells, duration, moment, table
from cli.stack import RunningStack

PANEL = "Cohorts, Mixpanel to Braze"
COLORS = {State.IN: "green", State.REJECTED: "red", State.SKIPPED: "yellow"}


@app.command(
    rich_help_panel=PANEL, epilog=examples("bridge cohorts", "bridge cohorts --json")
)
def cohorts(context: typer.Context) -> None:
    """List the cohorts: who is in, who is not and why, and the last sync."""
    now = session(context)
    listed = list(ask.overviews(now.stack))
    now.out.document(listed)
    for each in listed:
        note = "".join(f"  ({note})" for note in each.notes)
        now.out.say(
            f"{each.cohort:>12}  {moment(each.last_sync)} UTC  {each.name}{note}"
        )
        now.out.say(f"{each.members:>12,}  members in Braze")
        _reasons(now.out, each)
    if not listed:
        now.out.say("no sync of any cohort has arrived yet")


def _reasons(out: Output, each: ask.Overview) -> None:
    for reason, number in sorted(each.rejected.items()):
        out.say(f"{number:>12,}  rejected by Braze: {reason}")
    for reason, number in sorted(each.skipped.items()):
        out.say(f"{number:>12,}  skipped: {reason}")


@app.command(rich_help_panel=PANEL, epilog=examples("bridge cohort 8120045"))
def cohort(context: typer.Context, cohort_id: CohortId) -> None:
    """Show one cohort: its syncs of the last 30 days, and where their reports are."""
    now = session(context)
    ledger, out = ask.ledger_of(now.stack), now.out
    for key in ask.keys_of(ledger, cohort_id):
        known = next(each for each in ledger.cohorts() if each.key == key)
        seen = ask.overview(ledger, known, ask.now_ms())
        rows = ask.syncs(ledger, key)
        where = ask.reports_at(now.stack, key)
        out.document({"cohort": seen, "syncs": rows, "reports": where})
        note = "".join(f"  ({note})" for note in seen.notes)
        out.say(f"{seen.cohort}  {seen.name}{note}  of project {seen.project}")
        out.say(f"{seen.members:>12,}  members in Braze")
        _reasons(out, seen)
        gap = f", usually every {duration(seen.gap)}" if seen.gap else ""
        out.say(f"last sync {moment(seen.last_sync)} UTC{gap}")
        if seen.oldest_page:
            out.say(f"a page waits for {duration(seen.oldest_page)}", "waits", "yellow")
        shown = table("sync (UTC)", "kind", "pages", "state", "skipped", "rejected")
        for row in rows:
            shown.add_row(
                *cells(
                    f"{row.began:%Y-%m-%d %H:%M:%S}",
                    row.kind,
                    row.pages,
                    row.state,
                    _counts(row.skipped),
                    _counts(row.rejected),
                )
            )
        out.show(shown)
        out.say(f"reports, of 14 days: {where}")


def _counts(reasons: object) -> str:
    return ", ".join(f"{n:,} {reason}" for reason, n in reasons.items())  # type: ignore[attr-defined]


@app.command(
    "members",
    rich_help_panel=PANEL,
    epilog=examples(
        "bridge members 8120045 --skipped",
        "bridge members 8120045 --user u7",
        "bridge members 8120045 --rejected --json > rejected.ndjson",
    ),
)
def list_members(
    context: typer.Context,
    cohort_id: CohortId,
    user: Annotated[
        str | None,
        typer.Option(
            help="One person, by any identifier or distinct id: why (not) in?"
        ),
    ] = None,
    only_in: Annotated[bool, typer.Option("--in", help="Those who are in.")] = False,
    out: Annotated[bool, typer.Option("--out", help="Those who have left.")] = False,
    skipped: Annotated[
        bool, typer.Option("--skipped", help="Profiles without a usable identifier.")
    ] = False,
    rejected: Annotated[
        bool, typer.Option("--rejected", help="Those whom Braze rejects.")
    ] = False,
    waiting: Annotated[
        bool, typer.Option("--waiting", help="Those whose push is yet to come.")
    ] = False,
) -> None:
    """List the members of a cohort, a line each; or say why somebody is (not) in.

    A line has the identifier in Braze, its kind, the Mixpanel profiles behind it, the
    state, the reason, and the time of the last push to Braze.
    """
    now = session(context)
    if user is not None:
        _why(now.stack, now.out, cohort_id, user)
        return
    chosen = {
        State.IN: only_in,
        State.OUT: out,
        State.SKIPPED: skipped,
        State.REJECTED: rejected,
        State.WAITING: waiting,
    }
    wanted = {state for state, is_wanted in chosen.items() if is_wanted} or {*State}
    number = 0
    for row in _rows(now.stack, cohort_id, wanted):
        number += 1
        now.out.row(row, partial(_line, row))
    if not number:
        now.out.note("nobody")


def _rows(
    stack: RunningStack, cohort_id: str, wanted: set[State]
) -> Iterator[MemberRow]:
    ledger = ask.ledger_of(stack)
    for key in ask.keys_of(ledger, cohort_id):
        if wanted != {State.SKIPPED}:
            for member, known in members(ledger, key):
                row = row_of(member, known)
                if row.state in wanted:
                    yield row
        if State.SKIPPED in wanted:
            yield from skipped_rows(stack, ledger, key)


def _line(row: MemberRow) -> Text:
    profiles = ", ".join(row.distinct_ids)
    who = f"{row.identifier or '-':<20} {row.kind or '-':<11} {profiles:<20}"
    at = moment(row.at)
    return Text.assemble(
        *cells(f"{who} "),
        (f"{row.state:<8}", COLORS.get(row.state, "")),
        *cells(f" {at} {row.reason}"),
    )


def _why(stack: RunningStack, out: Output, cohort_id: str, user: str) -> None:
    ledger = ask.ledger_of(stack)
    for key in ask.keys_of(ledger, cohort_id):
        for answer in answers(stack, ledger, key, user):
            out.document(answer)
            _say(out, answer)


def _say(out: Output, answer: Answer) -> None:
    is_in = answer.state == State.IN
    what = "is in" if is_in else "is not in"
    reason = f": {answer.reason}" if answer.reason else ""
    label, color = ("in   ", "green") if is_in else ("out  ", "yellow")
    out.say(
        f"{answer.user} {what} cohort {answer.cohort} ({answer.name}); "
        f"{answer.state}{reason}",
        label,
        color,
    )
    if answer.why:
        out.paragraph(answer.why, indent=7)
    if row := answer.member:
        profiles = ", ".join(row.distinct_ids)
        out.say(f"       {row.kind} {row.identifier}, Mixpanel profiles: {profiles}")
        out.say(f"       last push to Braze: {moment(row.at)} UTC")
    for said in answer.statements:
        counts = "counts" if said.counts else "does not count"
        note = f", {said.note}" if said.note else ""
        out.say(
            f"       sync of {said.at:%Y-%m-%d %H:%M:%S}: {said.distinct_id} is "
            f"{said.says}; {counts}{note}"
        )


@app.command(rich_help_panel=PANEL, epilog=examples("bridge release 8120045"))
def release(context: typer.Context, cohort_id: CohortId) -> int:
    """Take a held or mislabelled list for the full one: whoever it omits is removed."""
    now = session(context)
    released = ask.release(now.stack, cohort_id)
    if not released:
        now.out.wrong(f"no sync of cohort {cohort_id} waits for you")
        return Exit.WRONG
    now.out.document({"cohort": cohort_id, "released": released})
    now.out.say(f"{released:8,}  lists of cohort {cohort_id} released")
    return Exit.DONE


@app.command(rich_help_panel=PANEL, epilog=examples("bridge reassert 8120045"))
def reassert(context: typer.Context, cohort_id: CohortId) -> None:
    """Push all members of a cohort to Braze again (one write for each)."""
    now = session(context)
    queued = ask.reassert(now.stack, cohort_id)
    now.out.document({"cohort": cohort_id, "reasserted": queued})
    now.out.say(f"{queued:8,}  cohorts with the id {cohort_id} will be reasserted")


@app.command(rich_help_panel="Help", epilog=examples("bridge reason no_identifier"))
def reason(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="REASON", help="As it is shown.")],
) -> int:
    """Say what a reason means, and what to do about it."""
    now = session(context)
    said = {each: text for each in Consequence if (text := explain(name, each))}
    if not said:
        now.out.wrong(f"no reason is called {name}")
        return Exit.WRONG
    now.out.document({str(each): text for each, text in said.items()})
    for each, text in said.items():
        now.out.say(f"{each}: {text}")
    return Exit.DONE
