"""Who does not open the live page does not load it, and it is in nothing deployed."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    "module", ["sandbox.demo", "sandbox.__main__", "sandbox.cloud"]
)
def test_the_local_cloud_starts_without_the_page(module: str) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    loaded = subprocess.run(  # noqa: S603 - our own modules
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    assert "sandbox.cloud" in loaded
    assert not [name for name in loaded if name.startswith("sandbox.live")]


def test_nothing_of_it_is_in_what_is_built() -> None:
    build = ROOT / ".aws-sam" / "build"
    if not build.exists():
        pytest.fail("run `make build` first, or `make test`")
    assert not [*build.rglob("*live.js"), *build.glob("*/**/sandbox")]
