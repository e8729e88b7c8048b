"""What the functions say of themselves: metrics and accounts, from their log files.

The functions write metrics in CloudWatch's embedded format, a line of JSON each.
"""

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Metrics:
    """Totals since the cloud started.

    `totals` are by function and metric; `filtered` counts events by rule and
    `filtered_by_type` by event type.
    """

    totals: Counter[tuple[str, str]] = field(default_factory=Counter)
    filtered: Counter[str] = field(default_factory=Counter)
    filtered_by_type: Counter[str] = field(default_factory=Counter)

    def of(self, name: str) -> int:
        """The total of one metric over all functions."""
        return sum(value for (_, each), value in self.totals.items() if each == name)


class LogReader:
    """Adds up what the log files say; each call reads what is new."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: defaultdict[Path, int] = defaultdict(int)
        self._metrics = Metrics()

    def read(self) -> Metrics:
        """The totals by now."""
        for file in sorted(self._folder.glob("*Function.log")):
            with file.open("rb") as log:
                log.seek(self._read[file])
                content = log.read()
            # A line may be half written.
            whole = content[: content.rfind(b"\n") + 1]
            self._read[file] += len(whole)
            function = file.name.removesuffix("Function.log")
            for line in whole.splitlines():
                if line.startswith(b"{"):
                    self._add(function, line)
        return self._metrics

    def _add(self, function: str, line: bytes) -> None:
        try:
            said: dict[str, Any] = json.loads(line)
        except ValueError:
            return  # two processes share a log, and a line may be torn
        if "_aws" in said:
            for group in said["_aws"]["CloudWatchMetrics"]:
                for metric in group["Metrics"]:
                    value = said.get(metric["Name"], 0)
                    values = value if isinstance(value, list) else [value]
                    self._metrics.totals[function, metric["Name"]] += int(sum(values))
        elif "by_event" in said:
            self._metrics.filtered.update(said.get("filtered", {}))
            for event, counts in said["by_event"].items():
                self._metrics.filtered_by_type[event] += counts.get("filtered", 0)
