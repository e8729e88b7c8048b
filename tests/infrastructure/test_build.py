"""What `make build` leaves is what Lambda can run."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILD = ROOT / ".aws-sam" / "build"
LAYERS = ("ApplicationLayer", "DependenciesLayer")
REQUIREMENTS = [
    "layers/dependencies/requirements.txt",
    "requirements-dev.txt",
    "requirements-browser.txt",
    "requirements-ministack.txt",
    "requirements-sam.txt",
    "requirements-uv.txt",
]


@pytest.mark.parametrize("layer", LAYERS)
def test_every_module_of_the_layers_has_its_bytecode(layer: str) -> None:
    folder = BUILD / layer / "python"
    sources = [s for s in folder.rglob("*.py") if "__pycache__" not in s.parts]
    assert sources
    without = [
        source
        for source in sources
        if not Path(
            importlib.util.cache_from_source(str(source), optimization="")
        ).exists()
    ]
    # Some libraries ship templates that are no Python; none of it is ours.
    assert len(without) <= len(sources) / 100
    assert not [source for source in without if "bridge" in source.parts]


@pytest.mark.parametrize("layer", LAYERS)
def test_bytecode_is_valid_whatever_the_times_of_the_files(layer: str) -> None:
    unchecked_hash = b"\x01\x00\x00\x00"
    for compiled in (BUILD / layer / "python").rglob("*.pyc"):
        assert compiled.read_bytes()[4:8] == unchecked_hash, compiled


@pytest.mark.parametrize(
    "function", sorted(app.parent.name for app in ROOT.glob("functions/*/app.py"))
)
def test_a_function_imports_with_nothing_but_its_layers(function: str) -> None:
    """A library that is missing in the layer fails here as it would on Lambda."""
    logical_id = "".join(part.title() for part in function.split("_")) + "Function"
    path = [BUILD / logical_id, *(BUILD / layer / "python" for layer in LAYERS)]
    code = (
        f"import sys; sys.path += {[str(p) for p in path]!r}; import app; app.handler"
    )
    subprocess.run(  # noqa: S603
        [sys.executable, "-I", "-S", "-c", code],
        check=True,
        env={"AWS_DEFAULT_REGION": "us-east-1"},
    )


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_requirements_are_pinned_hashed_and_without_addresses(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    packages = re.findall(r"^[a-z0-9].*$", text, re.MULTILINE | re.IGNORECASE)
    assert packages
    for package in packages:
        assert re.match(r"[\w.-]+(\[[\w,-]+\])?==\S+", package), package
    assert text.count("--hash=sha256:") >= len(packages)


def test_the_layer_is_what_the_tests_ran_with() -> None:
    pinned = re.compile(r"^([\w.-]+)(?:\[[\w,-]+\])?==([^\s;]+)", re.MULTILINE)
    layer = dict(pinned.findall((ROOT / REQUIREMENTS[0]).read_text()))
    dev = dict(pinned.findall((ROOT / REQUIREMENTS[1]).read_text()))
    assert {name: dev.get(name) for name in layer} == layer


def test_what_is_committed_names_no_registry() -> None:
    listed = subprocess.run(
        ["git", "ls-files"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split("\n")
    registry = re.compile(
        "pypi" + r"\.org|files\.python" + "hosted|registry" + r"\.npm"
    )
    for name in filter(None, listed):
        path = ROOT / name
        if path.suffix in {".avro", ".png"} or not path.is_file():
            continue
        assert not registry.search(path.read_text(errors="replace")), name


def test_what_the_command_is_made_of_stays_out_of_the_layers() -> None:
    pinned = (ROOT / "layers/dependencies/requirements.txt").read_text()
    for library in ("typer", "rich", "shellingham"):
        assert f"\n{library}==" not in f"\n{pinned}"
