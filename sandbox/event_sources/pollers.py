"""Everything that invokes a stack's functions by itself, made from the template."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from sandbox.cloudformation.stack import Stack
from sandbox.event_sources.kinesis import KinesisMapping, Pace
from sandbox.event_sources.s3_notifications import ObjectNotifications
from sandbox.event_sources.sqs import SqsMapping
from sandbox.lambda_runtime.async_invoke import AsyncInvoker
from sandbox.lambda_runtime.destinations import Destinations
from sandbox.lambda_runtime.functions import LambdaFunction


class Poller(Protocol):
    """Runs from `start` to `stop`; idle when it has nothing left to deliver."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def idle(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Tempo:
    """How much at once, and how long the waits are, in seconds.

    `concurrency` is the number of processes of a function, `retry_waits` those of
    `AsyncInvoker`, `redelivery` that of `SqsMapping`, `pace` that of `KinesisMapping`.
    """

    concurrency: int
    retry_waits: tuple[float, float]
    redelivery: int | None = None
    pace: Pace | None = None


def make_pollers(
    stack: Stack,
    functions: Mapping[str, LambdaFunction],
    client: Callable[[str], Any],
    client_of: Callable[[str, str], Any],
    tempo: Tempo,
) -> list[Poller]:
    """None of them started; `functions` are by logical id.

    Lambda polls and delivers in the name of the function's role: `client_of` a function
    and a service signs with the function's key. `client` is the sandbox's own.
    """
    destinations = {name: Destinations(partial(client_of, name)) for name in functions}
    invokers = {
        name: AsyncInvoker(
            function.settings,
            stack.asynchronous[name],
            function.invoke,
            destinations[name],
            concurrency=tempo.concurrency,
            retry_waits=tempo.retry_waits,
        )
        for name, function in functions.items()
        if any(source.function == name for source in stack.objects)
    }
    pollers: list[Poller] = list(invokers.values())
    for queue in stack.queues:
        function = functions[queue.function]
        places = min(tempo.concurrency, function.settings.reserved or 1_000)
        pollers.append(
            SqsMapping(
                queue,
                client_of(queue.function, "sqs"),
                function.invoke,
                places,
                redelivery=tempo.redelivery,
            )
        )
    for stream in stack.streams:
        function = functions[stream.function]
        pollers.append(
            KinesisMapping(
                stream,
                client_of(stream.function, "kinesis"),
                function.invoke,
                function.settings.arn,
                destinations[stream.function],
                tempo.pace,
            )
        )
    if stack.objects:
        submit = {name: invoker.submit for name, invoker in invokers.items()}
        pollers.append(ObjectNotifications(stack.objects, client, submit))
    return pollers
