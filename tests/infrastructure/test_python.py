"""`scripts/python`: a machine without Python 3.13 gets one, or is told how to.

The machines are folders of commands: a PATH on which nothing else is.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OLD = """case "$*" in
  "-c import sys"*) echo "" ;;
  *) echo "$*" >> "$CALLS"; {pip} ;;
esac"""
UV = """echo "uv $*" >> "$CALLS"
case "$2" in
  install) {install} ;;
  find) cd "$UV_PYTHON_INSTALL_DIR" 2> /dev/null && echo "$PWD/fetched" ;;
esac"""
INSTALL = (
    'mkdir -p "$UV_PYTHON_INSTALL_DIR"; ln -s {python} "$UV_PYTHON_INSTALL_DIR/fetched"'
)


class Machine:
    """One whose commands are these and the shell's own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bin = folder, folder / "bin"
        self.calls = folder / "calls"
        (folder / "scripts").mkdir()
        self.bin.mkdir()
        shutil.copy(ROOT / "scripts" / "python", folder / "scripts")
        shutil.copy(ROOT / "requirements-uv.txt", folder)
        for tool in ("bash", "env", "dirname", "mkdir", "ln", "ls", "head", "cat"):
            found = shutil.which(tool)
            assert found
            (self.bin / tool).symlink_to(found)

    def has(self, name: str, script: str) -> None:
        path = self.folder / name if "/" in name else self.bin / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/usr/bin/env bash\n{script}\n")
        path.chmod(0o755)

    def run(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603
            [str(self.folder / "scripts" / "python")],
            env={"PATH": str(self.bin), "CALLS": str(self.calls), "HOME": os.devnull},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def uv(*, works: bool = True) -> str:
    install = INSTALL.format(python=sys.executable) if works else "exit 2"
    return UV.format(install=install)


def test_a_python_that_is_there_is_taken_without_a_word(machine: Machine) -> None:
    (machine.bin / "python3.13").symlink_to(sys.executable)
    ran = machine.run()
    assert (ran.returncode, ran.stderr) == (0, "")
    assert Path(ran.stdout.strip()).name.startswith("python")


def test_uv_fetches_one_and_it_is_said(machine: Machine) -> None:
    machine.has("uv", uv())
    ran = machine.run()
    assert ran.returncode == 0
    assert "Fetching one with uv, into .python" in ran.stderr
    assert ran.stdout.strip()


def test_without_uv_any_python_with_pip_brings_it(machine: Machine) -> None:
    machine.has("prepared/uv", uv())
    pip = "mkdir -p .python/uv/bin; ln -f prepared/uv .python/uv/bin/uv"
    machine.has("python3", OLD.format(pip=pip))
    ran = machine.run()
    assert ran.returncode == 0, ran.stderr
    first = machine.calls.read_text().splitlines()[0]
    assert "-m pip install" in first
    assert "--require-hashes" in first


@pytest.mark.parametrize("has_uv", [True, False], ids=["uv fails", "nothing there"])
def test_where_that_fails_it_is_said_what_to_do(machine: Machine, has_uv: bool) -> None:
    if has_uv:
        machine.has("uv", uv(works=False))
    machine.has("python3", OLD.format(pip="exit 1"))
    ran = machine.run()
    assert ran.returncode == 1
    assert ran.stdout == ""
    assert "sudo apt-get install python3.13 python3.13-venv" in ran.stderr
