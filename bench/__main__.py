"""`make bench`: what the bridge costs, as tables; a part's name runs it alone."""

import argparse
import importlib.metadata
import os
import platform
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import cohorts, cold_start, importer, loader, memory, operate, pace

PARTS: Mapping[str, Callable[..., Iterable[Table]]] = {
    "importer": importer.run,
    "loader": loader.run,
    "cohorts": cohorts.run,
    "pace": pace.run,
    "cold_start": cold_start.run,
    "memory": memory.run,
    "operate": operate.run,
}
LIBRARIES = ("orjson", "msgspec", "isal", "fastavro", "boto3", "aws-lambda-powertools")


def machine() -> str:
    """What the figures were taken on."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(": ")[2]
                break
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES
    )
    return (
        f"{model}, {os.cpu_count()} cores, {platform.system()}, "
        f"Python {platform.python_version()}\n{versions}"
    )


def main() -> int:
    """Run all parts, or those named."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=" ".join(PARTS))
    parser.add_argument("--full", action="store_true", help="more events and rounds")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    console = Console(width=100)
    console.print(machine(), highlight=False)
    for name in options.parts or PARTS:
        for table in PARTS[name](full=options.full):
            console.print()
            console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
