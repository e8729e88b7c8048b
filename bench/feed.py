"""Feed invoke payloads to the importer's handler, in one process.

    python -m bench.feed FILE PORT [--times N]

FILE holds one Kinesis invoke payload a line; Mixpanel is at http://127.0.0.1:PORT. What
runs is what `make build` left, with its bytecode. Of AWS only the secret and the
quarantine are needed, and they are in memory. Prints the accounts as one JSON object,
and the peak memory of the process in MiB.
Ends with an error if a batch was not delivered, or if by the function's own metrics not
as many events went out as came in.
"""

import argparse
import importlib
import io
import json
import os
import sys
import time
from collections import Counter
from contextlib import redirect_stdout
from typing import Any

from bench.built import use
from bench.yardsticks import repeated

IN = "EventsReceived"
OUT = ("EventsDelivered", "EventsFiltered", "EventsQuarantined")
TOKEN = "bench-project-token"  # noqa: S105 - the stand-in takes any


class Context:
    """What the handler uses of Lambda's context; an invocation has two minutes."""

    function_name = "currents_importer"
    function_version = "$LATEST"
    memory_limit_in_mb = 1024
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:importer"
    aws_request_id = "00000000-0000-4000-8000-000000000001"

    def __init__(self) -> None:
        self._deadline = time.monotonic() + 120

    def get_remaining_time_in_millis(self) -> int:
        """As Lambda's, from the moment the context was made."""
        return max(0, int((self._deadline - time.monotonic()) * 1000))


def environment(port: int) -> dict[str, str]:
    """The function's own variables."""
    return {
        "MIXPANEL_SECRET_ARN": "mixpanel",
        "MIXPANEL_REGION": "US",
        "MIXPANEL_URL": f"http://127.0.0.1:{port}",
        "DATA_BUCKET": "data",
        "POWERTOOLS_SERVICE_NAME": "bench",
    }


class Log(io.TextIOBase):
    """Takes the place of stdout and adds up the metrics that are written there."""

    def __init__(self) -> None:
        self.totals: Counter[str] = Counter()
        self._begun = ""

    def write(self, text: str) -> int:
        """Metrics are lines of JSON with `_aws`: CloudWatch's embedded format."""
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            if '"_aws"' in line:
                self._add(json.loads(line))
        return len(text)

    def _add(self, entry: dict[str, Any]) -> None:
        for directive in entry["_aws"]["CloudWatchMetrics"]:
            for name in [metric["Name"] for metric in directive["Metrics"]]:
                value = entry[name]
                self.totals[name] += sum(value) if isinstance(value, list) else value


def feed(path: str, port: int, times: int = 1) -> tuple[Counter[str], bool]:
    """The totals of the function's metrics, and whether every batch was delivered.

    Stops at the first that was not: Lambda would deliver it again.
    """
    use("CurrentsImporterFunction")
    # Only now, so that the layer's boto3 and its bytecode are taken.
    from bench.memory_aws import ENVIRONMENT, MemoryAws  # noqa: PLC0415

    os.environ.update(ENVIRONMENT | environment(port))
    aws = MemoryAws({"mixpanel": {"project_token": TOKEN}})
    aws.install()
    log = Log()
    with redirect_stdout(log):
        # Only now, for its logger takes the stream that stands here.
        handler = importlib.import_module("app").handler
        # Under Lambda it is the runtime that reads the payload, and not the function.
        loads = importlib.import_module("orjson").loads
        for line in repeated(path, times):
            context: Any = Context()
            answer = handler(loads(line), context)
            if answer["batchItemFailures"]:
                return log.totals, False
    return log.totals, True


def peak_memory() -> float:
    """MiB of this process; what its parent had is no part of it.

    `getrusage` gives the larger of the two on Linux.
    """
    try:
        with open("/proc/self/status") as lines:  # noqa: PTH123 - costs start-up
            (line,) = (each for each in lines if each.startswith("VmHWM"))
    except OSError:
        used = importlib.import_module("resource").getrusage(0).ru_maxrss
        return float(used) / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    return int(line.split()[1]) / 1024


def main() -> int:
    """Feed one file; 1 if something is open."""
    parser = argparse.ArgumentParser(prog="python -m bench.feed")
    parser.add_argument("file")
    parser.add_argument("port", type=int)
    parser.add_argument("--times", type=int, default=1)
    options = parser.parse_args()
    totals, delivered = feed(options.file, options.port, options.times)
    closed = totals[IN] == sum(totals[name] for name in OUT)
    result = {
        "delivered": delivered,
        "closed": closed,
        "peak_mib": round(peak_memory(), 1),
    }
    sys.stdout.write(json.dumps({**totals, **result}) + "\n")
    return 0 if closed and delivered else 1


if __name__ == "__main__":
    sys.exit(main())
