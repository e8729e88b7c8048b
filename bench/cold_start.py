"""Start-up of each function as it is built, against a bare boto3 handler.

A fresh process with the built layers and their bytecode imports `app` and builds what
the function holds between invocations, its AWS clients included. The yardsticks, in the
same layers: `import boto3; boto3.client("s3")`, and the same with the very clients that
the function creates. The interpreter's own start is always subtracted. The maintenance
function is left out: a schedule starts it, and nobody waits for it.
"""

import re
from collections.abc import Callable, Iterator
from functools import partial

from rich.table import Table

from bench.lambda_process import REGION, built_functions
from bench.memory_aws import ENVIRONMENT
from bench.processes import Usage, median_cpu, run_code, take_turns
from sandbox.cloudformation.settings import FunctionSettings

NOTHING = "print(0)"
IMPORTED = "import app; print(0)"
BUILT = "import app; app.{holder}(); print(0)"
BARE = "import boto3; made = [boto3.client(name) for name in {services!r}]; print(0)"

CLIENTS = """
import botocore.session, json
made, create = [], botocore.session.Session.create_client
def created(self, name, *more, **named):
    made.append(name)
    return create(self, name, *more, **named)
botocore.session.Session.create_client = created
import app
app.{holder}()
print(json.dumps(made))
"""
"""Finds out which clients a function creates; not measured."""


def run(*, full: bool) -> Iterator[Table]:
    """One table."""
    functions = built_functions(ENVIRONMENT["AWS_ENDPOINT_URL"])
    del functions["CohortMaintenanceFunction"]
    any_function = functions["CohortWebhookFunction"]
    contenders: dict[str, Callable[[], Usage]] = {
        "nothing": partial(_start, any_function, NOTHING),
        "bare": partial(_start, any_function, BARE.format(services=["s3"])),
    }
    services: dict[str, list[str]] = {}
    for name, settings in functions.items():
        holder = _holder(name)
        services[name] = _start(settings, CLIENTS.format(holder=holder)).answer
        bare = BARE.format(services=services[name])
        contenders |= {
            f"{name} imported": partial(_start, settings, IMPORTED),
            f"{name} built": partial(_start, settings, BUILT.format(holder=holder)),
            f"{name} bare": partial(_start, settings, bare),
        }
    found = {
        name: median_cpu(usages)
        for name, usages in take_turns(contenders, 9 if full else 3).items()
    }
    nothing = found["nothing"]
    own = {name: cpu - nothing for name, cpu in found.items()}
    table = Table(title="Cold start, CPU ms", title_justify="left")
    table.add_column("function")
    for heading in ("import", "with clients", "/ bare s3", "/ bare, same clients"):
        table.add_column(heading, justify="right")
    table.add_row("bare boto3, s3", "", f"{own['bare'] * 1e3:.0f}", "1.00", "")
    for name in functions:
        built = own[f"{name} built"]
        table.add_row(
            f"{name}: {', '.join(services[name])}",
            f"{own[f'{name} imported'] * 1e3:.0f}",
            f"{built * 1e3:.0f}",
            f"{built / own['bare']:.2f}",
            f"{built / own[f'{name} bare']:.2f}",
        )
    yield table


def _holder(logical_id: str) -> str:
    """The name of the builder in `app`: `webhook` for CohortWebhookFunction."""
    return str(re.findall("[A-Z][a-z]+", logical_id)[-2]).lower()


def _start(settings: FunctionSettings, code: str) -> Usage:
    path = [settings.code, *(layer / "python" for layer in settings.layers)]
    variables = {
        **ENVIRONMENT,
        **settings.environment,
        "AWS_REGION": REGION,
        "PYTHONPATH": ":".join(map(str, path)),
    }
    return run_code(code, variables)
