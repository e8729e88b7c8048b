"""The loader's cost for an event of an Avro file, against the least work on one.

`read` is fastavro reading the file; `read and map` adds the importer's transform. The
loader reads, writes JSON, packs and puts records. S3 and Kinesis are in memory, behind
botocore's clients. Start-up is subtracted.
"""

import argparse
import importlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

from rich.table import Table

from bench import sample
from bench.built import use
from bench.feed import Context
from bench.processes import Usage, median_cpu, module, take_turns

BUCKET = "currents"


def run(*, full: bool) -> Iterator[Table]:
    """One table."""
    times, rounds = (10, 5) if full else (3, 3)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.avro"
        key = sample.write_avro(path)
        contenders: dict[str, Callable[[], Usage]] = {
            f"{name} {repeats}": partial(
                module, "bench.loader", name, path, key, repeats
            )
            for name in CONTENDERS
            for repeats in (0, times)
        }
        found = take_turns(contenders, rounds)
    number = sample.EVENTS * times
    cost: dict[str, float] = {}
    for name in CONTENDERS:
        work, start = found[f"{name} {times}"], found[f"{name} 0"]
        if any(usage.answer != number for usage in work):
            raise SystemExit(f"{name} did not go through {number} events")
        cost[name] = (median_cpu(work) - median_cpu(start)) / number
    table = Table(title="Loader, Avro file", title_justify="left")
    table.add_column("CPU")
    table.add_column("an event µs", justify="right")
    table.add_column("/ read and map", justify="right")
    for name, seconds in cost.items():
        ratio = seconds / cost["read and map"]
        table.add_row(name, f"{seconds * 1e6:.1f}", f"{ratio:.2f}")
    yield table


def _read(path: str, key: str, times: int) -> int:
    del key
    from fastavro import reader  # noqa: PLC0415 - each contender loads its own

    content = Path(path).read_bytes()
    return sum(sum(1 for _ in reader(io.BytesIO(content))) for _ in range(times))


def _map(path: str, key: str, times: int) -> int:
    from fastavro import reader  # noqa: PLC0415 - each contender loads its own

    from bridge.braze.currents_event import event_type_of  # noqa: PLC0415
    from bridge.currents.mapping.result import Sent  # noqa: PLC0415
    from bridge.currents.mapping.transform import Mapper  # noqa: PLC0415
    from bridge.settings import AnonymousUsers  # noqa: PLC0415

    content = Path(path).read_bytes()
    event_type = event_type_of(key, "")
    arrived, mapper = 1_800_000_000.0, Mapper(AnonymousUsers.SKIP)
    sent = 0
    for _ in range(times):
        for record in reader(io.BytesIO(content)):
            event: Any = record
            event["event_type"] = event_type
            sent += isinstance(mapper.transform(event, b"", arrived), Sent)
    return sent


def _load(path: str, key: str, times: int) -> int:
    variables = {
        "CURRENTS_STREAM": "currents",
        "DATA_BUCKET": "data",
        "POWERTOOLS_SERVICE_NAME": "bench",
    }
    # Only now, so that the layer's boto3 and its bytecode are taken.
    from bench.memory_aws import ENVIRONMENT, MemoryAws  # noqa: PLC0415

    os.environ.update(ENVIRONMENT | variables)
    aws = MemoryAws()
    aws.objects[f"{BUCKET}/{key}"] = Path(path).read_bytes()
    aws.install()
    log = io.StringIO()
    with redirect_stdout(log):
        app = importlib.import_module("app")
        app.loader()
        place = {"bucket": {"name": BUCKET}, "object": {"key": quote_plus(key)}}
        record = {"eventTime": "2026-11-24T11:00:00.000Z", "s3": place}
        context: Any = Context()
        for _ in range(times):
            app.handler({"Records": [record]}, context)
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    return sum(line["events"] for line in lines if line.get("message") == "file loaded")


CONTENDERS: dict[str, Callable[[str, str, int], int]] = {
    "read": _read,
    "read and map": _map,
    "loader": _load,
}


def main() -> None:
    """Run one contender and print how many events it went through."""
    parser = argparse.ArgumentParser(prog="python -m bench.loader")
    parser.add_argument("name", choices=CONTENDERS)
    parser.add_argument("file")
    parser.add_argument("key")
    parser.add_argument("times", type=int)
    options = parser.parse_args()
    use("CurrentsLoaderFunction")
    contender = CONTENDERS[options.name]
    events = contender(options.file, options.key, options.times)
    sys.stdout.write(f"{events}\n")


if __name__ == "__main__":
    main()
