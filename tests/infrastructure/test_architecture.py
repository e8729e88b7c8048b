"""The layers are built for the machine that runs them: Lambda's, or this one."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.infrastructure.resources import Template, of_type

ROOT = Path(__file__).parents[2]
WHEELS = {"arm64": "aarch64", "x86_64": "x86_64"}
CLEAN = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
"""An environment in which nobody has said an architecture."""


def executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/usr/bin/env bash\n{text}\n")
    path.chmod(0o755)
    return path


def machine(folder: Path, name: str) -> dict[str, str]:
    """An environment on a machine of that name."""
    executable(folder / "uname", f"echo {name}")
    return CLEAN | {"PATH": f"{folder}:{CLEAN['PATH']}"}


def build(layer: str, environment: dict[str, str]) -> list[list[str]]:
    """The commands by which a layer would be built, as `sam build` calls make."""
    said = subprocess.run(  # noqa: S603
        ["make", "--dry-run", "--no-print-directory", f"build-{layer.title()}Layer"],  # noqa: S607
        cwd=ROOT / "layers" / layer,
        env=environment | {"ARTIFACTS_DIR": "/out", "BUILD_PYTHON": "the-python"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    lines = said.replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines]


def options(command: list[str], name: str) -> list[str]:
    """Every value that an option has in a command."""
    return [command[i + 1] for i, word in enumerate(command) if word == name]


def pip(environment: dict[str, str]) -> list[str]:
    (command,) = (
        command for command in build("dependencies", environment) if "pip" in command
    )
    return command


def architectures(command: list[str]) -> set[str]:
    """Those of the wheels that pip would take."""
    platforms = options(command, "--platform")
    assert len(platforms) == 3
    found = (re.fullmatch("manylinux[0-9_]+?_([a-z].*)", each) for each in platforms)
    return {each[1] if each else "?" for each in found}


@pytest.mark.parametrize("architecture", WHEELS)
def test_wheels_are_those_of_the_architecture_that_was_asked_for(
    tmp_path: Path, architecture: str
) -> None:
    for name in ("x86_64", "aarch64"):
        environment = machine(tmp_path, name) | {"ARCHITECTURE": architecture}
        assert architectures(pip(environment)) == {WHEELS[architecture]}


@pytest.mark.parametrize("name", ["aarch64", "arm64", "x86_64"])
def test_wheels_are_the_machines_where_nothing_was_asked_for(
    tmp_path: Path, name: str
) -> None:
    assert architectures(pip(machine(tmp_path, name))) == {WHEELS.get(name, name)}


def test_only_pinned_wheels_of_the_functions_python_are_taken(
    template: Template,
) -> None:
    command = pip(CLEAN)
    assert command[:4] == ["the-python", "-m", "pip", "install"]
    assert {"--require-hashes", "--no-deps", "--only-binary=:all:"} <= set(command)
    assert options(command, "--requirement") == ["requirements.txt"]
    assert options(command, "--target") == ["/out/python"]
    runtime = template["Globals"]["Function"]["Runtime"]
    assert [f"python{v}" for v in options(command, "--python-version")] == [runtime]
    assert options(command, "--implementation") == ["cp"]


@pytest.mark.parametrize("layer", ["application", "dependencies"])
def test_bytecode_comes_last_and_outlives_packing(layer: str) -> None:
    *_, last = build(layer, CLEAN)
    assert last[:3] == ["the-python", "-m", "compileall"]
    assert options(last, "--invalidation-mode") == ["unchecked-hash"]
    assert last[-1] == "/out/python"


def test_functions_and_the_layer_with_native_wheels_share_one_parameter(
    template: Template,
) -> None:
    asked = {"Ref": "Architecture"}
    assert template["Globals"]["Function"]["Architectures"] == [asked]
    layers = of_type(template, "AWS::Serverless::LayerVersion")
    assert layers["DependenciesLayer"]["CompatibleArchitectures"] == [asked]
    for function in of_type(template, "AWS::Serverless::Function").values():
        assert "Architectures" not in function
    parameter = template["Parameters"]["Architecture"]
    assert parameter["AllowedValues"] == list(WHEELS)
    # What scripts/deploy builds by default.
    assert parameter["Default"] == "arm64"
