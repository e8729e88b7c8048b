"""A stream and a bucket of one test's own."""

import pytest

from sandbox.cloud import Cloud
from tests.sandbox.event_sources.streams import Stream


@pytest.fixture
def stream(cloud: Cloud, unique: str) -> Stream:
    return Stream(cloud, unique)


@pytest.fixture
def bucket(cloud: Cloud, unique: str) -> str:
    cloud.client("s3").create_bucket(Bucket=unique)
    return unique
