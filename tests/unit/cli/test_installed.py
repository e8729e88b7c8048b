"""`.venv/bin/bridge`, as the pages call it: installed with the environment."""

import json
import subprocess
import sys
from pathlib import Path

BRIDGE = Path(sys.executable).with_name("bridge")


def test_the_command_runs_from_anywhere_without_a_path_set_by_hand(
    tmp_path: Path,
) -> None:
    done = subprocess.run(  # noqa: S603 - our own command
        [BRIDGE, "rules", "schema"],
        cwd=tmp_path,
        env={},
        capture_output=True,
        check=True,
    )
    assert json.loads(done.stdout)["title"] == "Rules"


def test_its_exit_status_is_that_of_the_command(tmp_path: Path) -> None:
    done = subprocess.run(  # noqa: S603 - our own command
        [BRIDGE, "status"], cwd=tmp_path, env={}, capture_output=True, check=False
    )
    assert done.returncode == 1
    assert b"make run KEEP=1" in done.stderr
    assert done.stdout == b""
