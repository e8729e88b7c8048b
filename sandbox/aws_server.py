"""moto's server in a process of its own, made fit for concurrent clients and FIFO.

moto answers requests in threads but its backends are not safe for that: a DeleteMessage
can lose a message sent at the same time, two PutRecords can take one sequence number,
a conditional write is not atomic. One request runs at a time here. The SQS backend is
replaced where it differs from AWS; each method says in what.
"""

import hashlib
import io
import itertools
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from moto.sqs.models import Message, Queue, SQSBackend, sqs_backends
from moto.sqs.models import _filter_message_attributes as keep_attributes
from werkzeug.serving import make_server

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
        """A repeated id is accepted and not delivered for five minutes, also after the
        first message was deleted (moto forgets it then); sequence numbers grow (moto's
        are random)."""
        queue = self.get_queue(queue_name)
        if not queue.fifo_queue:
            return super().send_message(
                queue_name,
                message_body,
                message_attributes,
                delay_seconds,
                deduplication_id,
                group_id,
                system_attributes,
                validate_group_id,
            )
        if deduplication_id is None and _attribute(
            queue, "content_based_deduplication"
        ):
            deduplication_id = hashlib.sha256(message_body.encode()).hexdigest()
        per_group = _attribute(queue, "deduplication_scope") == "messageGroup"
        scope = group_id if per_group and group_id else ""
        key = (queue_name, scope, deduplication_id or "")
        earlier = self._sent.get(key)
        if earlier and time.time() - earlier.at < DEDUPLICATION_SECONDS:
            repeated = Message(earlier.message_id, message_body, system_attributes)
            repeated.message_attributes = message_attributes or {}
            repeated.sequence_number = earlier.sequence_number
            return repeated
        message = super().send_message(
            queue_name,
            message_body,
            message_attributes,
            delay_seconds,
            # moto's own comparison, which knows no scope, must find nothing.
            deduplication_id and f"{next(self._sequence)}",
            group_id,
            system_attributes,
            validate_group_id,
        )
        message.deduplication_id = deduplication_id
        message.sequence_number = str(next(self._sequence))
        self._sent[key] = _Sent(time.time(), message.id, message.sequence_number)
        return message

    def receive_message(
        self,
        queue_name: str,
        count: int,
        wait_seconds_timeout: int,
        visibility_timeout: int,
        message_attribute_names: list[str] | None = None,
    ) -> list[Message]:
        """Lets other requests pass while it waits, and keeps the order of a group: moto
        hands out a group's second message before the first when both time out apart."""
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
        retention = int(_attribute(queue, "message_retention_period"))
        oldest = (time.time() - retention) * 1000
        for message in queue.messages:
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
    """moto sets a queue's attributes by name, so that no type checker knows them."""
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
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    sqs_backends.backend = Queues
    application = one_at_a_time(DomainDispatcherApplication(create_backend_app))
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


if __name__ == "__main__":
    main()
