"""The layers are built for the machine that runs them: Lambda's, or this one."""

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

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


# scripts/deploy, with a sam that only writes its arguments down

SAM = 'echo "${ARCHITECTURE:--} $*" >> "$CALLS"; [ "$1" != "${FAILS:-}" ]'
ANSWERS = "[default.deploy.parameters]\nparameter_overrides = 'MixpanelRegion=EU'\n"


class Deployment:
    """A folder with the script, its environment and the arguments of sam in it."""

    def __init__(self, folder: Path, answers: str) -> None:
        self._folder = folder
        self._calls = folder / "calls"
        (folder / "scripts").mkdir()
        shutil.copy(ROOT / "scripts" / "deploy", folder / "scripts")
        (folder / "samconfig.toml").write_text(answers)
        executable(folder / ".venv-sam" / "bin" / "sam", SAM)
        python = ROOT / ".venv" / "bin" / "python"
        executable(folder / ".venv" / "bin" / "python", f'exec {python} "$@"')

    def run(self, *words: str, check: bool = True) -> Any:
        """Run it with more words in its environment, each `NAME=value`."""
        return subprocess.run(
            ["scripts/deploy"],  # noqa: S607
            cwd=self._folder,
            env=CLEAN | {"CALLS": str(self._calls)} | dict(w.split("=") for w in words),
            capture_output=True,
            text=True,
            check=check,
        )

    @property
    def calls(self) -> list[list[str]]:
        """The architecture in sam's environment, and its arguments, call by call."""
        if not self._calls.exists():
            return []
        return [line.split() for line in self._calls.read_text().splitlines()]


@pytest.mark.parametrize(
    ("answers", "refused"),
    [
        ('CohortRoute="partner" Identifiers="email=email"', "email"),
        ('Identifiers="external_id=id,phone=tel" CohortRoute="partner"', "phone"),
        ("CohortRoute=partner Identifiers=device=d,email=$email", "email"),
        ('CohortRoute="attribute" Identifiers="email=email"', ""),
        ('CohortRoute="partner" Identifiers="alias:email=a,external_id=email"', ""),
        ('CohortRoute="partner"', ""),
    ],
)
def test_a_deployment_refuses_identifiers_that_the_partner_route_does_not_take(
    tmp_path: Path, answers: str, refused: str
) -> None:
    text = f"[default.deploy.parameters]\nparameter_overrides = {json.dumps(answers)}\n"
    deployment = Deployment(tmp_path, text)
    ran = deployment.run(check=False)
    assert (ran.returncode != 0) is bool(refused)
    assert len(deployment.calls) == (0 if refused else 2)
    assert not refused or f"Identifiers has {refused}, which" in ran.stderr


@pytest.mark.parametrize("asked", [None, "arm64", "x86_64"])
def test_a_deployment_builds_for_lambda_and_not_for_this_machine(
    tmp_path: Path, asked: str | None
) -> None:
    deployment = Deployment(tmp_path, ANSWERS)
    deployment.run(*([f"ARCHITECTURE={asked}"] if asked else []))
    built = asked or "arm64"
    folder = f".aws-sam/deploy-{built}"
    build, deploy = deployment.calls
    assert build[:2] == [built, "build"]
    assert options(build, "--build-dir") == [folder]
    # SAM's cache would hand out the layer of the other architecture.
    assert options(build, "--cache-dir") == [f".aws-sam/cache-{built}"]
    assert deploy[1] == "deploy"
    assert options(deploy, "--template-file") == [f"{folder}/template.yaml"]
    assert "--guided" not in deploy


def test_the_first_deployment_asks_and_says_what_was_built(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path, "")
    said = deployment.run("ARCHITECTURE=x86_64").stdout
    assert "built for x86_64" in said
    assert deployment.calls[1][-1] == "--guided"


def test_an_environment_is_asked_even_if_another_one_has_answers(
    tmp_path: Path,
) -> None:
    deployment = Deployment(tmp_path, ANSWERS)
    deployment.run("CONFIG_ENV=brand-b")
    build, deploy = deployment.calls
    assert options(build, "--config-env") == ["brand-b"]
    assert options(deploy, "--config-env") == ["brand-b"]
    assert deploy[-1] == "--guided"


def test_a_build_that_failed_is_not_deployed(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path, ANSWERS)
    assert deployment.run("FAILS=build", check=False).returncode != 0
    assert [words[1] for words in deployment.calls] == ["build"]


def test_a_build_alone_deploys_nothing(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path, ANSWERS)
    deployment.run("ONLY_BUILD=1")
    assert [words[1] for words in deployment.calls] == ["build"]
