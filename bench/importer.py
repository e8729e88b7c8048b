"""The importer, from invoke payloads to accepted imports, against the yardsticks.

Each contender is a process; its start-up is measured with an empty file and taken off,
so that what an event costs does not depend on how many there were. The last column puts
both together again.
"""

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from rich.table import Table

from bench import lambda_process, sample
from bench.processes import Usage, median_cpu, module, take_turns
from bench.sink import Sink

EXAMPLE = 200_000
"""Events for which the last column adds start-up and work up."""

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
    times, rounds = (10, 5) if full else (2, 3)
    with tempfile.TemporaryDirectory() as folder, Sink() as sink:
        events = sample.events()
        empty = Path(folder) / "empty"
        empty.touch()
        for shape, (pack, batch) in SHAPES.items():
            payloads = Path(folder) / "payloads"
            records = [*pack(events)]
            sample.write_payloads(payloads, records, batch)
            mean = sum(map(len, records)) / len(events)
            title = f"Importer, {shape} ({mean:.0f} bytes an event)"
            yield _compare(title, payloads, empty, sink, times, rounds)


def _compare(
    title: str, payloads: Path, empty: Path, sink: Sink, times: int, rounds: int
) -> Table:
    number = sample.EVENTS * times

    def delivering(
        call: Callable[..., Usage], expected: int, *arguments: object
    ) -> Usage:
        used = call(*arguments)
        arrived = sink.counts()["events"]
        if arrived != expected:
            raise SystemExit(f"{arguments}: {arrived} of {expected} events arrived")
        return used

    contenders: dict[str, Callable[[], Usage]] = {}
    for path, repeats, expected in ((empty, 1, 0), (payloads, times, number)):
        size = "work" if expected else "start"
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
    start = {name: found[f"{name} start"] for name in names}
    event = {name: (found[f"{name} work"] - start[name]) / number for name in names}
    whole = {name: start[name] + EXAMPLE * event[name] for name in names}
    table = Table(title=title, title_justify="left")
    table.add_column("CPU")
    for heading in ("start-up s", "an event µs", "/ A", f"{EXAMPLE:,} events s", "/ A"):
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
