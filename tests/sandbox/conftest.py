"""One running cloud for every test that needs processes or the AWS wire.

The mappings mostly run in process against its AWS server, with an `invoke` of the
test's own and resources no other test uses.
"""

import uuid
from collections.abc import Iterator

import pytest

from sandbox.cloud import Cloud
from tests.sandbox.queues import MakeQueue, Queue
from tests.sandbox.small_stack import build


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """The small stack, running; nothing in it calls Braze or Mixpanel."""
    built = build(tmp_path_factory.mktemp("build"))
    unused = "http://127.0.0.1:9"
    with Cloud(built, unused, unused, retry_waits=(0.2, 0.2)) as running:
        yield running


@pytest.fixture
def unique() -> str:
    """A name no other test uses."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def make_queue(cloud: Cloud, unique: str) -> MakeQueue:
    """Makes queues of one test's own; the suffix comes after a unique name."""

    def make(suffix: str = "", **attributes: str) -> Queue:
        return Queue(cloud.client("sqs"), unique + suffix, **attributes)

    return make
