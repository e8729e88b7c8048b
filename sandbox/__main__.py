"""`python -m sandbox`: the built stack on this machine until Ctrl-C.

The first line on standard output is one JSON object for programs; what is meant for
people goes to standard error.
"""

import argparse
import json
import signal
import sys
import threading
from pathlib import Path

from sandbox.cloud import Cloud
from sandbox.cloudformation.intrinsics import TemplateError
from sandbox.description import DESCRIPTION, shown_to_the_command


def main(arguments: list[str] | None = None) -> int:
    """Run until a signal; the exit status."""
    options = _parser().parse_args(arguments)
    finished = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: finished.set())
    cloud = Cloud(
        options.build_dir,
        options.braze_url,
        options.mixpanel_url,
        parameters=dict(pair.split("=", 1) for pair in options.parameter),
        concurrency=options.concurrency,
        api_port=options.api_port,
        aws_port=options.aws_port,
        logs=options.logs,
    )
    try:
        with cloud, shown_to_the_command(cloud.description, options.description):
            sys.stdout.write(json.dumps(cloud.description) + "\n")
            sys.stdout.flush()
            _greet(cloud, options.description)
            finished.wait()
    except TemplateError as error:
        sys.stderr.write(f"sandbox: {error}\n")
        return 1
    return 0


def _greet(cloud: Cloud, file: Path) -> None:
    description = cloud.description
    default = "" if file == DESCRIPTION else f" --description {file}"
    lines = [
        "The sandbox is up. Ctrl-C stops it.",
        f"  cohorts   POST {description['webhook_url']}",
        f"  events    POST {description['currents_url']}",
        f"  AWS       {description['aws_endpoint_url']} ({description['region']})",
        f"  Braze     {description['braze_url']}",
        f"  Mixpanel  {description['mixpanel_url']}",
        f"  logs      {description['logs']}",
        f"  command   .venv/bin/bridge status{default}",
    ]
    sys.stderr.write("\n".join(lines) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    add = parser.add_argument
    add("--build-dir", type=Path, default=Path(".aws-sam/build"))
    add("--braze-url", help="a loopback server in place of the stand-in Braze")
    add("--mixpanel-url", help="a loopback server in place of the stand-in Mixpanel")
    add("--api-port", type=int, default=0, help="of the HTTP API; 0 takes a free one")
    add("--aws-port", type=int, default=0, help="of the AWS APIs; 0 takes a free one")
    add("--concurrency", type=int, default=2, help="processes a function may have")
    add("--logs", type=Path, help="folder for the log files, kept afterwards")
    add(
        "--description",
        type=Path,
        default=DESCRIPTION,
        help="where the operator's command finds this cloud (%(default)s)",
    )
    add(
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of the template",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
