"""Peak memory of the importer's process, and whether it or an event's cost grows."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.table import Table

from bench import sample
from bench.processes import module
from bench.sink import Sink


def run(*, full: bool) -> Iterator[Table]:
    """One table; `full` goes up to a million events."""
    sizes = (10_000, 200_000, 1_000_000) if full else (10_000, 200_000)
    table = Table(title="Importer, by number of events", title_justify="left")
    for heading in ("events", "peak MiB", "an event µs"):
        table.add_column(heading, justify="right")
    with tempfile.TemporaryDirectory() as folder, Sink() as sink:
        payloads, empty = Path(folder) / "payloads", Path(folder) / "empty"
        empty.touch()
        events = sample.events()[: sizes[0]]
        sample.write_payloads(payloads, sample.gzipped(events), 50)
        start = module("bench.feed", empty, sink.port)
        for size in sizes:
            times = size // len(events)
            used = module("bench.feed", payloads, sink.port, "--times", times)
            if used.answer["EventsDelivered"] != size:
                raise SystemExit(f"not all of {size} events were delivered")
            cost = (used.cpu - start.cpu) / size
            table.add_row(f"{size:,}", f"{used.memory:.0f}", f"{cost * 1e6:.1f}")
    yield table
