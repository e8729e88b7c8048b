"""What the functions have logged: from CloudWatch, or from the local cloud's files."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from cli.stack import RunningStack

SECONDS = 10.0
"""A screen does not wait for longer; then it shows what it has got."""


def logged(
    stack: RunningStack, function: str, message: str, since: datetime
) -> Iterator[Mapping[str, Any]]:
    """The log lines of a function with this message, oldest first.

    Logs are an aid to understanding: where they cannot be read there are none.
    """
    with suppress(OSError, BotoCoreError, ClientError):
        for line in _lines(stack, function, message, since):
            with suppress(ValueError):
                found = json.loads(line)
                if isinstance(found, dict) and found.get("message") == message:
                    yield found


def _lines(
    stack: RunningStack, function: str, message: str, since: datetime
) -> Iterator[str]:
    if stack.logs:
        path = Path(stack.logs) / f"{function}.log"
        with path.open(encoding="utf-8", errors="replace") as file:
            yield from (line for line in file if f'"{message}"' in line)
        return
    group = stack.resources.get(f"{function.removesuffix('Function')}LogGroup")
    if group is None:
        return
    until = time.monotonic() + SECONDS
    pages = (
        stack.client("logs")
        .get_paginator("filter_log_events")
        .paginate(
            logGroupName=group,
            filterPattern=f'"{message}"',
            startTime=int(since.timestamp() * 1000),
        )
    )
    for page in pages:
        for event in page["events"]:
            yield event["message"]
        if time.monotonic() > until:
            return
