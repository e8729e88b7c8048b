"""The importer, from invoke payloads to accepted imports, against the yardsticks.

Each contender is a process. A run with the first few events gives its start-up, the
rest is the cost of the events; the last columns show both together.
"""

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from rich.table import Table

from bench import lambda_process, sample
from bench.processes import Usage, median_cpu, module, take_turns
from bench.sink import Sink

TIMES = 10
"""So often the file is fed."""

SHAPES = {
    "one event a record": (sample.one_a_record, 500),
    "100 a record, plain": (sample.packed, 50),
    "100 a record, gzipped": (sample.gzipped, 200),
}
"""How events become records, and records a payload: under Lambda's 6 MB each."""

NAMES = {
    "A": "A: json, zlib 6",
    "B": "B: orjson, zlib 6",
    "C": "C: orjson, isal 1",
}


def run(*, full: bool) -> Iterator[Table]:
    """One table a shape."""
    rounds = 5 if full else 3
    with tempfile.TemporaryDirectory() as folder, Sink() as sink:
        events = sample.events()
        first = Path(folder) / "first"
        sample.write_first(first, events)
        for shape, (pack, batch) in SHAPES.items():
            payloads = Path(folder) / "payloads"
            records = [*pack(events)]
            sample.write_payloads(payloads, records, batch)
            mean = sum(map(len, records)) / len(events)
            title = f"Importer, {shape} ({mean:.0f} bytes an event)"
            yield _compare(title, payloads, first, sink, rounds)


def _compare(title: str, payloads: Path, first: Path, sink: Sink, rounds: int) -> Table:
    number = sample.EVENTS * TIMES

    def delivering(
        call: Callable[..., Usage], expected: int, *arguments: object
    ) -> Usage:
        used = call(*arguments)
        arrived = sink.counts()["events"]
        if arrived != expected:
            raise SystemExit(f"{arguments}: {arrived} of {expected} events arrived")
        return used

    contenders: dict[str, Callable[[], Usage]] = {}
    for path, repeats, expected in (
        (first, 1, sample.FIRST),
        (payloads, TIMES, number),
    ):
        size = "work" if path is payloads else "start"
        for name in ("A", "B", "C"):
            contenders[f"{name} {size}"] = partial(
                delivering,
                partial(module, "bench.yardsticks"),
                expected,
                name,
                path,
                sink.port,
                "--times",
                repeats,
            )
        contenders[f"importer {size}"] = partial(
            delivering,
            partial(module, "bench.feed"),
            expected,
            path,
            sink.port,
            "--times",
            repeats,
        )
        contenders[f"under Lambda's client {size}"] = partial(
            delivering, lambda_process.feed, expected, path, sink, repeats
        )
    found = {
        name: median_cpu(usages)
        for name, usages in take_turns(contenders, rounds).items()
    }
    return _table(title, found, number)


def _table(title: str, found: dict[str, float], number: int) -> Table:
    names = dict.fromkeys(name.rpartition(" ")[0] for name in found)
    whole = {name: found[f"{name} work"] for name in names}
    start = {name: found[f"{name} start"] for name in names}
    rest = number - sample.FIRST
    event = {name: (whole[name] - start[name]) / rest for name in names}
    table = Table(title=title, title_justify="left")
    table.add_column("CPU")
    for heading in ("start-up s", "an event µs", "/ A", f"{number:,} events s", "/ A"):
        table.add_column(heading, justify="right")
    for name in names:
        table.add_row(
            NAMES.get(name, name),
            f"{start[name]:.2f}",
            f"{event[name] * 1e6:.1f}",
            f"{event[name] / event['A']:.2f}",
            f"{whole[name]:.2f}",
            f"{whole[name] / whole['A']:.2f}",
        )
    return table
