"""Child processes that cannot outlive the sandbox.

Every child joins the process group of a guard that waits for end of file on a pipe
only the sandbox holds. However the sandbox ends, SIGKILL included, the kernel closes
the pipe and the guard kills the group. PR_SET_PDEATHSIG would not do: it fires when
the *thread* that started the child ends, and it is Linux only.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

_GUARD = (
    "import os, signal, sys\nsys.stdin.buffer.read()\nos.killpg(0, signal.SIGKILL)\n"
)


class ChildGroup:
    """The children of one sandbox; `close` kills those that are left."""

    def __init__(self) -> None:
        # The group is its own, so Ctrl-C in a terminal reaches the sandbox alone,
        # which then stops its children in order.
        self._guard = subprocess.Popen(  # noqa: S603 - the command is ours
            [sys.executable, "-I", "-S", "-c", _GUARD],
            stdin=subprocess.PIPE,
            process_group=0,
        )

    def spawn(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        stdout: IO[bytes] | int,
        stderr: IO[bytes] | int,
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 - the command is the sandbox's own
            command,
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            process_group=self._guard.pid,
        )

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._guard.pid, signal.SIGKILL)
        if self._guard.stdin is not None:
            self._guard.stdin.close()
        self._guard.wait()
