"""Commands that load the history of Currents."""

from pathlib import Path
from typing import Annotated

import typer

from cli.app import app, examples, group, session
from cli.backfill import (
    Done,
    LagGuard,
    Run,
    files_of,
    lag_of,
    load_here,
    newest,
    watched,
)
from cli.backfill import start as start_run
from cli.backfill import stop as stop_runs
from cli.commands.quarantine import BYTES_PER_SECOND, PANEL
from cli.mixpanel_list import FOLDER
from cli.output import Exit, Output, moment
from cli.replay import Pace

backfill = group(
    "Load the Avro files of Currents' history, here or by Step Functions in AWS."
)
app.add_typer(backfill, name="backfill", rich_help_panel=PANEL)


@backfill.command(
    epilog=examples(
        "bridge backfill load history/",
        "bridge backfill load s3://old-bucket/currents/ --bytes-per-second 200000",
    )
)
def load(
    context: typer.Context,
    source: Annotated[
        str, typer.Argument(help="A folder, or s3://BUCKET/PREFIX that you may read.")
    ],
    bytes_per_second: Annotated[
        float, typer.Option(min=1.0, help="How fast packed events enter the stream.")
    ] = BYTES_PER_SECOND,
    state: Annotated[
        Path, typer.Option(help="Folder that remembers which files are done.")
    ] = FOLDER,
) -> int:
    """Load the history from here, file by file, in this one process.

    A run that was stopped goes on where it was, within a file, too. It waits while the
    importer is more than five minutes behind. What a live delivery has brought already
    shows once.
    """
    now = session(context)
    files = files_of(now.stack, source)
    size = sum(each.size for each in files)
    now.out.note(f"{len(files):,} files, {size / 1e6:,.1f} MB")
    done = Done(state / f"backfill-{now.name or 'local'}.sqlite")
    guard = LagGuard(lambda: lag_of(now.stack), now.out.note)
    with now.out.progress("files", len(files)) as advance:
        counts = load_here(
            now.stack, files, done, Pace(bytes_per_second), guard, advance
        )
    now.out.document({"source": source, "counts": counts})
    for what, number in counts.items():
        now.out.say(f"{number:>10,}  {what}")
    return Exit.DONE


@backfill.command(epilog=examples("bridge backfill start currents/ --concurrency 8"))
def start(
    context: typer.Context,
    prefix: Annotated[str, typer.Argument(help="Of the files in BackfillBucket.")] = "",
    concurrency: Annotated[
        int, typer.Option(min=1, max=100, help="Files loaded at the same time.")
    ] = 4,
) -> int:
    """Have Step Functions load all files below a prefix of BackfillBucket."""
    now = session(context)
    name = start_run(now.stack, prefix, concurrency)
    now.out.document({"started": name})
    now.out.say(f"{name} is running: `backfill watch` shows it")
    return Exit.DONE


@backfill.command(
    epilog=examples("bridge backfill watch", "bridge backfill watch --once")
)
def watch(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Look once.")] = False,
) -> int:
    """Show how far the newest backfill is, until it ends; Ctrl-C does not stop it."""
    now = session(context)
    run = newest(now.stack)
    if run is None:
        now.out.note("there was no backfill yet")
        return Exit.WRONG
    if not once and run.is_running:
        with now.out.progress(run.name, run.total or None) as advance:
            before = 0
            for run in watched(now.stack):
                advance(run.succeeded + run.failed - before)
                before = run.succeeded + run.failed
    now.out.document(run)
    _say(now.out, run)
    return Exit.DIFFERS if run.failed else Exit.DONE


def _say(out: Output, run: Run) -> None:
    out.say(f"{run.name}, begun {moment(run.began)} UTC: {run.status.lower()}")
    out.say(f"{run.total:>10,}  files")
    out.say(f"{run.succeeded:>10,}  loaded")
    out.say(f"{run.running:>10,}  at work")
    if run.failed:
        out.say(f"{run.failed:>10,}  failed: the log of currents_loader says why")


@backfill.command(epilog=examples("bridge backfill stop"))
def stop(context: typer.Context) -> int:
    """Stop the backfill in AWS; a new one loads the same files once more, unharmed."""
    now = session(context)
    stopped = stop_runs(now.stack)
    now.out.document({"stopped": stopped})
    for name in stopped:
        now.out.say(f"{name} is stopped")
    if not stopped:
        now.out.note("no backfill is running")
    return Exit.DONE
