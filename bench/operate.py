"""The operator's command over very many members, items and events: its peak memory."""

from collections.abc import Iterator

from rich.table import Table

from bench.processes import module

PARTS = {
    "members": "members --in",
    "quarantine": "quarantine list --limit 0",
    "reconcile": "reconcile, the comparison",
    "backfill": "backfill load",
}
LIMIT_MIB = 200


def run(*, full: bool) -> Iterator[Table]:
    """One table; `full` goes up to a million of each."""
    number = 1_000_000 if full else 100_000
    table = Table(title="The command, AWS in memory", title_justify="left")
    for heading in ("command", "of", "peak MiB", "CPU s"):
        table.add_column(heading, justify="left" if heading == "command" else "right")
    for part, name in PARTS.items():
        used = module("bench.operate_run", part, number)
        if used.answer["peak_mib"] > LIMIT_MIB:
            raise SystemExit(f"{name} takes more than {LIMIT_MIB} MiB")
        peak = f"{used.answer['peak_mib']:.0f}"
        table.add_row(name, f"{number:,}", peak, f"{used.cpu:.0f}")
    yield table
