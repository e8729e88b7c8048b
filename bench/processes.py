"""Run commands and measure their CPU time, user and system.

CPU and not wall time, as the machine may have other work. Contenders take turns and the
median of their rounds is shown, as CPU time too drifts with load and temperature.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Usage:
    """What a command took: `cpu` in seconds; `answer` is its last line, as JSON."""

    cpu: float
    answer: Any


def run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Usage:
    """Run to the end; raises if it fails. The last line of its output is JSON."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
    if process.stdout is None:
        raise AssertionError("stdout is a pipe")
    with process.stdout:
        output = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, output)
    return Usage(
        cpu=used.ru_utime + used.ru_stime, answer=json.loads(output.splitlines()[-1])
    )


def module(name: str, *arguments: object) -> Usage:
    """Run a module of this project in a process of its own."""
    return run([sys.executable, "-m", name, *map(str, arguments)])


def run_code(code: str, environment: Mapping[str, str]) -> Usage:
    """Run code as under Lambda: without site-packages, without writing bytecode."""
    return run([sys.executable, "-S", "-B", "-c", code], environment)


def take_turns[T](
    contenders: Mapping[str, Callable[[], T]], rounds: int
) -> dict[str, list[T]]:
    """Call each contender once a round; the results by name."""
    found: dict[str, list[T]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, call in contenders.items():
            found[name].append(call())
    return found


def median_cpu(usages: Sequence[Usage]) -> float:
    """The median, in seconds."""
    return statistics.median(usage.cpu for usage in usages)
