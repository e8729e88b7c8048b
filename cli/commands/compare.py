"""Commands that compare the ledger with Mixpanel's own list, and with Braze."""

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from bridge.cohorts.messages import CohortKey
from cli.app import CohortId, Session, app, examples, session
from cli.audit import (
    CALLS_PER_SECOND,
    Audited,
    audit,
    calls_for,
    correct,
    sampled,
    subjects,
)
from cli.audit import DIFFERENCES as AUDIT_DIFFERENCES
from cli.cohorts import keys_of, ledger_of, overviews
from cli.commands.cohorts import PANEL
from cli.mixpanel import query_client, sizes
from cli.mixpanel_list import FOLDER, Pacer, fetch, opened, seconds_for
from cli.output import Exit, cells, duration, table
from cli.reconcile import DIFFERENCES, Compared, compare, feed
from cli.stack import StackError

State = Annotated[
    Path, typer.Option("--state", help="Folder where an unfinished list is kept.")
]


@app.command(
    rich_help_panel=PANEL,
    epilog=examples(
        "bridge reconcile",
        "bridge reconcile 8120045 --list",
        "bridge reconcile 8120045 --apply",
    ),
)
def reconcile(
    context: typer.Context,
    cohort_id: Annotated[
        str | None,
        typer.Argument(metavar="[COHORT]", help="Without it: the counts of all."),
    ] = None,
    listing: Annotated[
        bool, typer.Option("--list", help="List each member that differs.")
    ] = False,
    apply: Annotated[
        bool, typer.Option("--apply", help="Feed Mixpanel's list as a full sync.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Begin the list anew, as of now.")
    ] = False,
    folder: State = FOLDER,
) -> int:
    """Compare a cohort with Mixpanel's own list of its members.

    Mixpanel takes 60 queries an hour, a thousand members each; the command says how
    long it will take, and goes on where it was stopped. Without a cohort it compares
    the counts alone, in one query. --apply feeds the list through the same door as
    Mixpanel's own full syncs, so that the removal guard holds for it, too.
    """
    now = session(context)
    if cohort_id is None:
        return _counts(now)
    status = Exit.DONE
    for key in keys_of(ledger_of(now.stack), cohort_id):
        status = max(status, _reconcile(now, key, listing, apply, fresh, folder))
    return status


def _counts(now: Session) -> int:
    counted, problem = sizes(now.stack)
    if problem:
        raise StackError(problem)
    rows = [
        {
            "cohort": each.cohort,
            "name": each.name,
            "mixpanel": counted.get(each.cohort),
            "sent": each.sent,
            "in": each.members,
        }
        for each in overviews(now.stack)
    ]
    now.out.document(rows)
    shown = table(
        "cohort", "name", "Mixpanel", "sent", "in", "", right=["Mixpanel", "sent", "in"]
    )
    differs = False
    for row in rows:
        gone = row["mixpanel"] is None
        off = gone or row["mixpanel"] != row["sent"]
        differs |= off
        note = "not in Mixpanel any more" if gone else "differs" if off else ""
        values = [("-" if value is None else value) for value in row.values()]
        shown.add_row(*cells(*values, note))
    now.out.show(shown)
    return Exit.DIFFERS if differs else Exit.DONE


def _reconcile(
    now: Session,
    key: CohortKey,
    listing: bool,
    apply: bool,
    fresh: bool,
    folder: Path,
) -> Exit:
    out, stack = now.out, now.stack
    with opened(folder, stack, key, fresh=fresh) as listed:
        pacer = Pacer(folder, key.project, out.note)
        client = query_client(stack)
        if not listed.is_done:
            pacer.before_a_query()
            size = client.cohort_sizes().get(key.cohort)
            if size is None:
                raise StackError(
                    f"Mixpanel has no cohort {key.cohort} any more; `forget-cohort` "
                    "takes it out of Braze and the ledger"
                )
            takes = duration(seconds_for(size - listed.pages * 1000))
            out.note(f"{size:,} members in Mixpanel; listing them takes about {takes}")
            with out.progress("Mixpanel's list", size) as advance:
                fetch(listed, client, pacer, stack, key, advance)
        counts: Counter[tuple[str, str]] = Counter()
        for each in compare(stack, key, listed):
            counts[each.what, each.reason] += 1
            if listing and each.what in DIFFERENCES:
                out.row(each, partial(_line, each))
        differing = sum(n for (what, _), n in counts.items() if what in DIFFERENCES)
        rows = [
            {"what": what, "reason": reason, "members": number}
            for (what, reason), number in sorted(counts.items())
        ]
        fed = 0
        if apply and differing:
            with out.progress("feeding it as a full sync", None) as advance:
                fed = feed(stack, key, listed, advance)
        out.document(
            {"cohort": key.cohort, "counts": rows, "differ": differing, "pages": fed}
        )
        for row in rows:
            reason = f": {row['reason']}" if row["reason"] else ""
            out.say(f"{row['members']:>10,}  {row['what']}{reason}")
        if fed:
            out.say(f"the list was fed as a full sync of {fed:,} pages; see `cohort`")
        elif differing:
            out.say("--apply feeds Mixpanel's list as a full sync")
        if fed or not differing:
            listed.forget()
    return Exit.DIFFERS if differing and not fed else Exit.DONE


def _line(each: Compared) -> str:
    who = f"{each.identifier or '-':<24} {each.distinct_id:<24}"
    return f"{who} {each.what}  {each.reason}"


def _audited(each: Audited) -> str:
    return f"{each.identifier:<24} {each.kind:<12} {each.what}"


@app.command(
    "audit",
    rich_help_panel=PANEL,
    epilog=examples(
        "bridge audit 8120045",
        "bridge audit 8120045 --all --list",
        "bridge audit 8120045 --all --apply",
    ),
)
def audit_cohort(
    context: typer.Context,
    cohort_id: CohortId,
    sample: Annotated[int, typer.Option(min=1, help="Ask for so many members.")] = 500,
    everybody: Annotated[
        bool, typer.Option("--all", help="Ask for every member.")
    ] = False,
    listing: Annotated[
        bool, typer.Option("--list", help="List each member that differs.")
    ] = False,
    apply: Annotated[
        bool, typer.Option("--apply", help="Push those that differ once more.")
    ] = False,
) -> int:
    """Ask Braze what it holds of a cohort's members, 50 a call, within its limit.

    It finds members whom Braze lacks, who are there though out, and whom Braze does not
    know at all. Braze tells nobody whom it holds beyond those that are asked for.
    """
    now = session(context)
    status = Exit.DONE
    ledger = ledger_of(now.stack)
    for key in keys_of(ledger, cohort_id):
        found = _audit(now, key, None if everybody else sample, listing)
        wrong = [each.key for each in found[1]]
        corrected = correct(now.stack, key, wrong) if apply and wrong else 0
        counts, asked, total = found[0], found[2], found[3]
        now.out.document(
            {
                "cohort": key.cohort,
                "members": total,
                "asked": asked,
                "counts": counts,
                "corrected": corrected,
            }
        )
        for what, number in sorted(counts.items()):
            now.out.say(f"{number:>10,}  {what}")
        now.out.say(f"{asked:,} of {total:,} members were asked for")
        if corrected:
            now.out.say(f"{corrected:,} members will be pushed once more")
        elif wrong:
            now.out.say("--apply has them pushed once more")
        if wrong and not corrected:
            status = Exit.DIFFERS
    return status


def _audit(
    now: Session, key: CohortKey, sample: int | None, listing: bool
) -> tuple[dict[str, int], list[Audited], int, int]:
    """Counts, those that differ, how many were asked for, and of how many."""
    stack, out = now.stack, now.out
    cohort = ledger_of(stack).cohort(key)
    if sample is None:
        total = sum(1 for _ in subjects(stack, key))
        found, calls = subjects(stack, key), -(-total // 50)
        number = total
    else:
        chosen, total = sampled(subjects(stack, key), sample)
        found, calls, number = iter(chosen), calls_for(chosen), len(chosen)
    out.note(f"about {calls:,} calls of Braze, {duration(calls / CALLS_PER_SECOND)}")
    counts: Counter[str] = Counter()
    wrong: list[Audited] = []
    with out.progress("asking Braze", number) as advance:
        for each in audit(stack, cohort, key.cohort, found):
            counts[each.what] += 1
            advance(1)
            if each.what in AUDIT_DIFFERENCES:
                wrong.append(each)
            if listing and each.what != "as it should be":
                out.row(each, partial(_audited, each))
    return dict(counts), wrong, number, total
