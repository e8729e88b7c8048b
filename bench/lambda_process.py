"""The built importer in a process of its own, under AWS's runtime client.

Only the CPU of that process counts: the Runtime API is served by this one, AWS and
Mixpanel by the sink.
"""

import resource
import tempfile
from pathlib import Path

from bench.built import BUILD
from bench.processes import Usage
from bench.sink import Sink
from bench.yardsticks import repeated
from sandbox.cloudformation.settings import FunctionSettings
from sandbox.cloudformation.stack import Stack
from sandbox.cloudformation.template import Template
from sandbox.lambda_runtime.environment import ExecutionEnvironment
from sandbox.lambda_runtime.process_setup import lambda_environment, link_runtime
from sandbox.lambda_runtime.processes import ChildGroup

REGION = "us-east-1"
PARAMETERS = {
    "MixpanelRegion": "US",
    "BrazeRestEndpoint": "https://rest.iad-01.braze.com",
}


def built_functions(endpoint: str) -> dict[str, FunctionSettings]:
    """The functions of the built template, by logical id."""
    return Stack(Template(BUILD, PARAMETERS, REGION, endpoint)).functions


def feed(path: Path, sink: Sink, times: int) -> Usage:
    """Invoke the importer with each payload of the file, `times` over."""
    settings = built_functions(sink.url)["CurrentsImporterFunction"]
    with tempfile.TemporaryDirectory() as folder:
        variables = lambda_environment(
            settings,
            link_runtime(Path(folder) / "runtime"),
            REGION,
            {
                "AWS_ACCESS_KEY_ID": "AKIABENCH",
                "AWS_SECRET_ACCESS_KEY": "bench",
                "AWS_ENDPOINT_URL": sink.url,
                "MIXPANEL_SECRET_ARN": "mixpanel",
                "MIXPANEL_URL": sink.url,
            },
        )
        children = ChildGroup()
        try:
            with (Path(folder) / "log").open("wb") as log:
                before = _children()
                process = ExecutionEnvironment(settings, variables, children, log)
                try:
                    for payload in repeated(str(path), times):
                        _invoke(process, payload)
                finally:
                    process.close()
                used = _children() - before
        finally:
            children.close()
    return Usage(used, None)


def _invoke(process: ExecutionEnvironment, payload: bytes) -> None:
    outcome = process.invoke(payload)
    if outcome.function_error or outcome.payload != b'{"batchItemFailures": []}':
        raise SystemExit(f"the importer failed: {outcome.payload!r}")


def _children() -> float:
    """CPU seconds of the children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
