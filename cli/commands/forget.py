"""Commands that forget: a cohort that has ended, a person who asked for it."""

from collections import Counter
from typing import Annotated

import typer

from bridge.cohorts.rules.counts import IN
from cli.app import CohortId, Yes, app, examples, session
from cli.cohorts import keys_of, ledger_of
from cli.commands.cohorts import PANEL
from cli.forget import (
    EXPIRES,
    count_stored,
    find_person,
    forget_in_ledger,
    forget_in_store,
    remove_from_braze,
)
from cli.forget import forget_cohort as delete_cohort
from cli.output import Exit


@app.command(
    "forget-cohort",
    rich_help_panel=PANEL,
    epilog=examples(
        "bridge forget-cohort 8120045 --remove-from-braze",
        "bridge forget-cohort 8120045",
    ),
)
def forget_cohort(
    context: typer.Context,
    cohort_id: CohortId,
    remove: Annotated[
        bool,
        typer.Option("--remove-from-braze", help="Take its members out there first."),
    ] = False,
    yes: Yes = False,
) -> int:
    """Delete a cohort that has ended: its members, syncs, pages and reports.

    Disconnect it in Mixpanel first: otherwise the next sync brings it back. Without
    --remove-from-braze its members stay in the cohort at Braze, and nobody can take
    them out afterwards, as the ledger alone knows who they are.
    """
    now = session(context)
    ledger = ledger_of(now.stack)
    done: Counter[str] = Counter()
    for key in keys_of(ledger, cohort_id):
        cohort = ledger.cohort(key)
        number = cohort.counts.get(IN, 0)
        there = "are taken out of Braze" if remove else "STAY in the cohort at Braze"
        question = f"Cohort {cohort_id} ({cohort.name}): {number:,} members {there}."
        if not now.confirmed(question, yes=yes):
            now.out.note("nothing is changed")
            return Exit.WRONG
        if remove:
            with now.out.progress("taking out of Braze", number) as advance:
                remove_from_braze(now.stack, key, advance, now.out.note)
            done["taken out of Braze"] += number
        with now.out.progress("deleting", None) as advance:
            done += delete_cohort(now.stack, key, advance)
    now.out.document({"cohort": cohort_id, "deleted": done})
    for what, number in done.items():
        verb = "members" if what.startswith("taken") else "deleted:"
        now.out.say(f"{number:>10,}  {verb} {what}")
    now.out.paragraph(
        "What the quarantine holds of its pages expires within 14 days, backups of the "
        "ledger within 35.",
        indent=0,
    )
    return Exit.DONE


@app.command(
    rich_help_panel=PANEL,
    epilog=examples("bridge forget u7", "bridge forget u7 --apply"),
)
def forget(
    context: typer.Context,
    user: Annotated[str, typer.Argument(help="Any identifier, or a distinct id.")],
    apply: Annotated[
        bool, typer.Option("--apply", help="Delete what was found.")
    ] = False,
    yes: Yes = False,
) -> int:
    """Find a person in ledger, pages, reports and quarantine; with --apply delete it.

    Delete the person in Mixpanel and Braze first: otherwise the next sync, or the next
    event, brings the person back. Membership at Braze goes with the profile there.
    """
    now = session(context)
    stack, out = now.stack, now.out
    ledger = ledger_of(stack)
    person = find_person(stack, ledger, user)
    total = count_stored(stack, ("pages/", "reports/", "quarantine/"))

    def gone_through(*, dry_run: bool) -> Counter[str]:
        counts = forget_in_ledger(stack, ledger, person, dry_run=dry_run)
        with out.progress("pages, reports, quarantine", total) as advance:
            return counts + forget_in_store(stack, person, advance, dry_run=dry_run)

    found = gone_through(dry_run=True)
    deletes = apply and bool(found)
    if deletes and not now.confirmed(f"All of this about {user} is deleted.", yes=yes):
        out.note("nothing is changed")
        return Exit.WRONG
    if deletes:
        found = gone_through(dry_run=False)
    names = sorted(person.names)
    out.document(
        {
            "user": user,
            "names": names,
            "deleted": deletes,
            "found": found,
            "stays": EXPIRES,
        }
    )
    out.say(f"{user} is known as {', '.join(names)}")
    for what, number in found.items():
        out.say(f"{number:>10,}  {what}{' deleted' if deletes else ''}")
    if not found:
        out.say("nothing was found")
    elif not apply:
        out.say("nothing is deleted yet: --apply does it")
    out.say("what cannot be looked through goes by itself:")
    for what, when in EXPIRES:
        out.say(f"            {what}: {when}")
    return Exit.DONE
