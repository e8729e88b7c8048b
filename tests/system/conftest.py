"""The built stack in the local cloud, one for all system tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.cloud import Cloud
from tests.system.syncs import AT_ONCE

BUILD = Path(__file__).parents[2] / ".aws-sam" / "build"


@pytest.fixture(scope="session")
def built() -> Path:
    """The folder `make build` fills; without it these tests have nothing to run."""
    if not (BUILD / "template.yaml").exists():
        pytest.fail("run `make build` first, or `make test`")
    return BUILD


@pytest.fixture(scope="session")
def cloud(built: Path) -> Iterator[Cloud]:
    with Cloud(built, parameters=AT_ONCE) as running:
        yield running
