"""AWS clients with short time-outs, and one meaning for all their failures.

An AWS service that fails is a fault of ours that heals: the sender gets 503, the stream
or the queue delivers again. botocore's own message stays out of ours, for it may quote
what was sent.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from bridge.errors import RetryableError
from bridge.observability import Metric, count

CONFIG = Config(
    connect_timeout=2,
    read_timeout=10,
    retries={"mode": "standard", "total_max_attempts": 3},
)


def client(service: str) -> Any:
    """A client of one AWS service; callers annotate it with its stub type."""
    return boto3.client(service, config=CONFIG)


def error_code(error: ClientError) -> str:
    """AWS's name of the error, a fixed word."""
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
