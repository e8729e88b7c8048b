"""The importer's peak memory, and whether it or the cost of an event grows."""

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
        payloads, first = Path(folder) / "payloads", Path(folder) / "first"
        events = sample.events()[: sizes[0]]
        sample.write_payloads(payloads, sample.gzipped(events), 50)
        sample.write_first(first, events)
        start = module("bench.feed", first, sink.port)
        for size in sizes:
            times = size // len(events)
            used = module("bench.feed", payloads, sink.port, "--times", times)
            if used.answer["EventsDelivered"] != size:
                raise SystemExit(f"not all of {size} events were delivered")
            cost = (used.cpu - start.cpu) / (size - sample.FIRST)
            table.add_row(
                f"{size:,}", f"{used.answer['peak_mib']:.0f}", f"{cost * 1e6:.1f}"
            )
    yield table
