"""AWS clients with short time-outs, and one error for all their failures.

When an AWS service fails, the caller tries again: the sender gets a 503, the stream or
the queue delivers again. botocore's message stays out of ours, because it may quote the
request.

Clients come from botocore itself, in one session and with a loader of our own, which
halves what they add to a cold start (decision 0041).
"""

import gzip
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import orjson
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.loaders import JSONFileLoader, Loader, instance_cache
from botocore.session import Session, get_session

from bridge.errors import RetryableError
from bridge.observability import Metric, count

CONFIG = Config(
    connect_timeout=2,
    read_timeout=10,
    retries={"mode": "standard", "total_max_attempts": 3},
)


class _Files(JSONFileLoader):
    """Reads botocore's service descriptions with a faster JSON parser."""

    def load_file(self, file_path: str) -> Any:
        """As the base class; None if there is no such file."""
        for ending, opened in ((".json", open), (".json.gz", gzip.open)):
            with suppress(FileNotFoundError), opened(file_path + ending, "rb") as file:
                return orjson.loads(file.read())
        return None


class _Descriptions(Loader):
    """Takes each folder for a service; the base class looks into all 400."""

    @instance_cache
    def list_available_services(self, type_name: str) -> list[str]:  # noqa: ARG002
        """The names of all folders; one without a description still has no client."""
        return [place.name for place in os.scandir(self.BUILTIN_DATA_PATH)]


@cache
def _session() -> Session:
    session = get_session()
    session.register_component("data_loader", _Descriptions(file_loader=_Files()))
    return session


def create(service: str, config: Config = CONFIG) -> Any:
    """A client of one AWS service; the caller annotates its type."""
    return _session().create_client(service, config=config)


def error_code(error: ClientError) -> str:
    """AWS's code for the error, such as `NoSuchKey`."""
    return str(error.response.get("Error", {}).get("Code", "unknown"))


@contextmanager
def answering(store: str) -> Iterator[None]:
    """Turn a failure of AWS into `RetryableError` with reason `<store>_unavailable`."""
    try:
        yield
    except ClientError as error:
        failure = error_code(error)
    except BotoCoreError as error:
        failure = type(error).__name__
    else:
        return
    count(Metric.STORE_UNAVAILABLE)
    raise RetryableError(f"{store}_unavailable", f"{store} failed: {failure}")
