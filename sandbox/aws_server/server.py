"""moto's server in a process of its own, made fit for concurrent clients and FIFO.

moto answers requests in threads but its backends are not safe for that: a DeleteMessage
can lose a message sent at the same time, two PutRecords can take one sequence number,
a conditional write is not atomic. One request runs at a time here. The SQS backend is
replaced where it differs from AWS; each method says in what.
"""

# ruff: noqa: ARG002, SLF001 - the signatures and the fields are moto's

import hashlib
import io
import itertools
import logging
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from moto.sqs.exceptions import InvalidParameterValue, MissingParameter
from moto.sqs.models import Message, Queue, SQSBackend, sqs_backends
from moto.sqs.models import _filter_message_attributes as keep_attributes
from werkzeug.serving import make_server

from sandbox.aws_server import tables
from sandbox.aws_server.permissions import Permissions, authorizing

# Amazon SQS Developer Guide, "Using the message deduplication ID in Amazon SQS".
DEDUPLICATION_SECONDS = 300
_POLL_SECONDS = 0.02

# Held by the request that is being answered; a long poll waits on it and so lets the
# others through.
_requests = threading.Condition()


@dataclass(frozen=True, slots=True)
class _Sent:
    at: float
    message_id: str
    sequence_number: str


class Queues(SQSBackend):
    """SQS with FIFO order, group blocking and de-duplication as documented."""

    # moto finds the URL patterns of a backend beside the module of its class.
    __module__ = "moto.sqs.models"

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self._sent: dict[tuple[str, str, str], _Sent] = {}
        self._sequence = itertools.count(18_849_496_460_467_696_128, 256)

    def send_message(
        self,
        queue_name: str,
        message_body: str,
        message_attributes: dict[str, Any] | None = None,
        delay_seconds: int | None = None,
        deduplication_id: str | None = None,
        group_id: str | None = None,
        system_attributes: dict[str, Any] | None = None,
        validate_group_id: bool = True,
    ) -> Message:
        """Accept a repeated id and do not deliver it for five minutes.

        moto forgets an id with its message, and its sequence numbers are random.
        """
        queue = self.get_queue(queue_name)
        delay = int(delay_seconds or 0)
        self._validate_message(queue, message_body, delay, deduplication_id, group_id)
        message = Message(str(uuid.uuid4()), message_body, system_attributes)
        message.message_attributes = message_attributes or {}
        message.group_id = group_id
        if queue.fifo_queue:
            if deduplication_id is None:
                deduplication_id = hashlib.sha256(message_body.encode()).hexdigest()
            per_group = _attribute(queue, "deduplication_scope") == "messageGroup"
            scope = group_id if per_group and group_id else ""
            key = (queue_name, scope, deduplication_id)
            earlier = self._sent.get(key)
            if earlier and time.time() - earlier.at < DEDUPLICATION_SECONDS:
                message.id = earlier.message_id
                message.sequence_number = earlier.sequence_number
                return message
            message.deduplication_id = deduplication_id
            message.sequence_number = str(next(self._sequence))
            self._sent[key] = _Sent(time.time(), message.id, message.sequence_number)
        message.mark_sent(delay or _attribute(queue, "delay_seconds"))
        queue._messages.append(message)
        return message

    def _validate_message(
        self,
        queue: Queue,
        message_body: str,
        delay_seconds: int,
        deduplication_id: str | None = None,
        group_id: str | None = None,
        validate_group_id: bool = True,
    ) -> None:
        """The rules of moto, whose code counts the whole queue for every message."""
        if queue.fifo_queue:
            if group_id is None:
                raise MissingParameter("MessageGroupId")
            if not (
                deduplication_id or _attribute(queue, "content_based_deduplication")
            ):
                raise InvalidParameterValue(
                    "The queue should either have ContentBasedDeduplication enabled or "
                    "MessageDeduplicationId provided explicitly"
                )
            if delay_seconds:
                raise InvalidParameterValue(
                    f"Value {delay_seconds} for parameter DelaySeconds is invalid. "
                    "Reason: The request include parameter that is not valid for this "
                    "queue type."
                )
        limit = int(_attribute(queue, "maximum_message_size"))
        if len(message_body.encode()) > limit:
            raise InvalidParameterValue(
                "One or more parameters are invalid. Reason: Message must be shorter "
                f"than {limit} bytes."
            )

    def delete_message(self, queue_name: str, receipt_handle: str) -> None:
        """Looks among the messages in flight first; moto goes through the queue."""
        queue = self.get_queue(queue_name)
        for message in queue.pending_messages:
            if message.receipt_handle == receipt_handle:
                queue.pending_messages.discard(message)
                queue._messages.remove(message)
                queue.deleted_messages.update(filter(None, message.all_receipt_handles))
                return
        super().delete_message(queue_name, receipt_handle)

    def receive_message(
        self,
        queue_name: str,
        count: int,
        wait_seconds_timeout: int,
        visibility_timeout: int,
        message_attribute_names: list[str] | None = None,
    ) -> list[Message]:
        """Let other requests pass while waiting, and keep the order of a group.

        moto hands out a group's second message first when both time out apart.
        """
        queue = self.get_queue(queue_name)
        until = time.monotonic() + wait_seconds_timeout
        while True:
            messages = self._receivable(queue)[:count]
            if messages or time.monotonic() >= until:
                break
            _requests.wait(_POLL_SECONDS)
        received = []
        for message in messages:
            queue.pending_messages.add(message)
            message.mark_received(visibility_timeout=visibility_timeout)
            copy = deepcopy(message)
            keep_attributes(copy, message_attribute_names or [])
            received.append(copy)
        return received

    def _receivable(self, queue: Queue) -> list[Message]:
        for message in [m for m in queue.pending_messages if m.visible]:
            queue.pending_messages.discard(message)
        blocked = queue.pending_message_groups if queue.fifo_queue else set()
        groups: dict[str | None, list[Message]] = {}
        now = time.time() * 1000
        oldest = now - int(_attribute(queue, "message_retention_period")) * 1000
        for message in list(queue._messages):
            if message.visible_at >= now or message.delayed_until > now:
                continue
            if queue.fifo_queue and message.group_id in blocked:
                continue
            if _exhausted(queue, message):
                queue._messages.remove(message)
                if queue.dead_letter_queue is not None:
                    queue.dead_letter_queue._messages.append(message)
            elif (message.sent_timestamp or 0) < oldest:
                queue._messages.remove(message)
            else:
                group = message.group_id if queue.fifo_queue else None
                groups.setdefault(group, []).append(message)
        # "Amazon SQS first attempts to return as many messages with the same message
        # group ID as possible" (Developer Guide, "FIFO queue delivery logic").
        return list(itertools.chain.from_iterable(groups.values()))


def _exhausted(queue: Queue, message: Message) -> bool:
    policy = _attribute(queue, "redrive_policy")
    if queue.dead_letter_queue is None or not policy:
        return False
    return bool(message.approximate_receive_count >= policy["maxReceiveCount"])


def _attribute(queue: Queue, name: str) -> Any:
    """What moto sets by name, so that no type checker knows it."""
    return getattr(queue, name)


type _Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


def one_at_a_time(application: _Application) -> _Application:
    """Read each body first, so that no slow sender holds others up; answer alone."""

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        stream = environ["wsgi.input"]
        if environ.get("wsgi.input_terminated"):
            body = stream.read()
        else:
            body = stream.read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        with _requests:
            return list(application(environ, start_response))

    return answer


def main() -> None:
    """Serve on the port of the first argument and print the port; 0 takes any.

    The second argument names the file of `Permissions`, if there is one.
    """
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    sqs_backends.backend = Queues
    tables.replace_moto()
    permissions = Permissions(Path(sys.argv[2]) if len(sys.argv) > 2 else None)
    application = one_at_a_time(
        authorizing(DomainDispatcherApplication(create_backend_app), permissions)
    )
    server = make_server(
        "127.0.0.1",
        int(sys.argv[1]),
        application,
        threaded=True,
        request_handler=MotoRequestHandler,
    )
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    server.serve_forever()
