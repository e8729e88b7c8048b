"""`bridge COMMAND`: runs one command, and says in a line what went wrong."""

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import typer
from botocore.exceptions import BotoCoreError, ClientError

from bridge.aws.clients import error_code
from bridge.errors import BridgeError, RetryableError
from cli.app import anywhere_first, app, is_local
from cli.commands import (
    backfill,
    cohorts,
    compare,
    forget,
    installation,
    quarantine,
    rules,
    status,
)
from cli.output import Exit, Output
from cli.stack import StackError

GROUPS = (
    status,
    cohorts,
    compare,
    forget,
    quarantine,
    rules,
    backfill,
    installation,
)
"""The modules of commands; each has added its own to `app`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit status is one of `Exit`.

    Of an error of a library only the name is shown: its message may quote a secret.
    """
    given = anywhere_first(sys.argv[1:] if arguments is None else arguments)
    out = Output(as_json="--json" in given)
    try:
        result = app(given, prog_name="bridge", standalone_mode=False)
    except typer.TyperException as error:
        usage: Any = error
        usage.show()
        return Exit.USAGE
    except (KeyboardInterrupt, typer.Abort):
        result = Exit.INTERRUPTED
    except BrokenPipeError:
        # Whoever reads has enough, as `head` does; what is left has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE
    except Exception as error:  # noqa: BLE001 - see above
        out.wrong(_problem(error, is_local=is_local(given)))
        return Exit.WRONG
    if result == Exit.INTERRUPTED:
        # Typer itself turns Ctrl-C into this status.
        out.errors.print("stopped  before the end; the command can be run again")
    return int(result or 0)


def _problem(error: Exception, *, is_local: bool) -> str:
    hint = ": is `make run KEEP=1` running?" if is_local else ""
    if isinstance(error, RetryableError) and error.reason.endswith("_unavailable"):
        return f"{error}{hint}"
    if isinstance(error, (StackError, BridgeError)):
        return str(error)
    if isinstance(error, ClientError):
        return f"AWS denied {error.operation_name}: {error_code(error)}"
    if isinstance(error, BotoCoreError):
        return f"AWS cannot be reached ({type(error).__name__}){hint}"
    at = traceback.extract_tb(error.__traceback__)[-1]
    kind = type(error).__name__
    return f"a bug in the bridge: {kind} at {at.filename}:{at.lineno}"


if __name__ == "__main__":
    sys.exit(main())
