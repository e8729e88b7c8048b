"""Asynchronous invocation: Lambda's own queue in front of a function.

The caller is gone when the function fails, so Lambda retries. An event that it gives up
goes to a destination, with the request and the error.
"""

import heapq
import itertools
import json
import logging
import threading
import time
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sandbox.cloudformation.settings import AsyncSettings, FunctionSettings
from sandbox.lambda_runtime.destinations import Destinations, timestamp
from sandbox.lambda_runtime.invocation import (
    ASYNCHRONOUS_PAYLOAD_LIMIT,
    Invocation,
    Invoke,
    RequestTooLarge,
    Throttled,
)

_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Event:
    request_id: str
    payload: bytes
    accepted: float
    tries: int = 0


class AsyncInvoker:
    """Queues events for one function.

    AWS waits one minute before the second try and two before the third; `retry_waits`
    are seconds here, and short by default.
    """

    def __init__(
        self,
        function: FunctionSettings,
        settings: AsyncSettings,
        invoke: Invoke,
        destinations: Destinations,
        *,
        concurrency: int = 2,
        retry_waits: tuple[float, float] = (1.0, 2.0),
    ) -> None:
        destinations.check(settings.on_failure)
        destinations.check(settings.on_success)
        self._function = function
        self._settings = settings
        self._invoke = invoke
        self._destinations = destinations
        self._retry_waits = retry_waits
        self._order = itertools.count()
        self._due: list[tuple[float, int, _Event]] = []
        self._unfinished = 0
        self._changed = threading.Condition()
        self._places = threading.BoundedSemaphore(concurrency)
        self._workers = ThreadPoolExecutor(concurrency, "async-invoke")
        self._stopping = False
        self._dispatcher = threading.Thread(target=self._dispatch, daemon=True)

    def start(self) -> None:
        self._dispatcher.start()

    def stop(self) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._dispatcher.join()
        self._workers.shutdown()

    def idle(self) -> bool:
        return self._unfinished == 0

    def submit(self, payload: bytes) -> str:
        """Accept an event; its request id. Raises RequestTooLarge over 1 MB."""
        if len(payload) > ASYNCHRONOUS_PAYLOAD_LIMIT:
            raise RequestTooLarge
        event = _Event(str(uuid.uuid4()), payload, time.time())
        with self._changed:
            self._unfinished += 1
        self._schedule(event, 0)
        return event.request_id

    def _schedule(self, event: _Event, wait: float) -> None:
        with self._changed:
            due = time.monotonic() + wait
            heapq.heappush(self._due, (due, next(self._order), event))
            self._changed.notify_all()

    def _dispatch(self) -> None:
        while (event := self._next_due()) is not None:
            self._places.acquire()
            self._workers.submit(self._attempt, event).add_done_callback(_log_error)

    def _next_due(self) -> _Event | None:
        with self._changed:
            while not self._stopping:
                now = time.monotonic()
                if self._due and self._due[0][0] <= now:
                    return heapq.heappop(self._due)[2]
                self._changed.wait(self._due[0][0] - now if self._due else None)
        return None

    def _attempt(self, event: _Event) -> None:
        try:
            wait = self._try(event)
        except (BotoCoreError, ClientError):
            wait = None
            if not self._stopping:
                _logger.warning("a destination did not take its record", exc_info=True)
        finally:
            self._places.release()
        if wait is not None:
            self._schedule(event, wait)
            return
        with self._changed:
            self._unfinished -= 1

    def _try(self, event: _Event) -> float | None:
        """Seconds until the next try, or None if there is none."""
        if time.time() - event.accepted > self._settings.maximum_age:
            self._give_up(event, "EventAgeExceeded", None)
            return None
        try:
            invocation = self._invoke(event.payload)
        except Throttled:
            return self._retry_waits[0]
        event.tries += 1
        if invocation.function_error is None:
            if self._settings.on_success is not None:
                record = self._record(event, "Success", invocation)
                self._send(self._settings.on_success, record)
            return None
        if event.tries <= self._settings.retries:
            return self._retry_waits[min(event.tries, 2) - 1]
        self._give_up(event, "RetriesExhausted", invocation)
        return None

    def _give_up(
        self, event: _Event, condition: str, invocation: Invocation | None
    ) -> None:
        if self._settings.on_failure is not None:
            record = self._record(event, condition, invocation)
            self._send(self._settings.on_failure, record)
        if self._settings.dead_letter_queue is not None:
            error = json.loads(invocation.payload) if invocation else {}
            self._destinations.send_event(
                self._settings.dead_letter_queue,
                event.payload,
                event.request_id,
                str(error.get("errorMessage", condition)),
            )

    def _send(self, arn: str, record: dict[str, Any]) -> None:
        self._destinations.send(arn, record, f"aws/lambda/async/{self._function.name}")

    def _record(
        self, event: _Event, condition: str, invocation: Invocation | None
    ) -> dict[str, Any]:
        record: dict[str, Any] = {
            "version": "1.0",
            "timestamp": timestamp(time.time()),
            "requestContext": {
                "requestId": event.request_id,
                "functionArn": f"{self._function.arn}:$LATEST",
                "condition": condition,
                "approximateInvokeCount": event.tries,
            },
            "requestPayload": json.loads(event.payload),
        }
        if invocation is not None:
            context = {"statusCode": 200, "executedVersion": "$LATEST"}
            if invocation.function_error is not None:
                context["functionError"] = invocation.function_error
            record["responseContext"] = context
            record["responsePayload"] = json.loads(invocation.payload)
        return record


def _log_error(attempt: Future[None]) -> None:
    """A bug of the invoker itself must not vanish with its thread."""
    if error := attempt.exception():
        _logger.error("an event was not handled", exc_info=error)
