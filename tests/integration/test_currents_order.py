"""The order of the steps of the Currents functions, and what holds if one fails once.

What cannot be delivered is in quarantine before anything counts it as processed: the
answer to Braze, the checkpoint of the stream, the position in a file.
"""

import io
import random
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

import pytest

from bridge.aws import http_api
from bridge.currents.decode.avro import read_events
from bridge.currents.decode.record import decode
from bridge.currents.intake.checkpoint import Checkpoint
from bridge.errors import MalformedInput, RetryableError
from bridge.quarantine import Quarantine
from functions.currents_importer import app as importer
from functions.currents_loader import app as loader
from functions.currents_receiver import app as receiver
from sandbox.braze.currents import CurrentsSource, avro_file
from sandbox.mixpanel import MixpanelStandIn
from tests.integration.importer import NONE_FAILED, batch, failed, source
from tests.integration.stack import Context, Stack, sample

KIND = "users.messages.email.Open"
KEY = "a.avro"


class Steps:
    """Notes the calls of methods in order; `failing` names one that is to fail once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.taken: list[str] = []
        self.failing = ""
        self._monkeypatch = monkeypatch

    def watch(self, owner: Any, *names: str) -> None:
        for name in names:
            step = f"{getattr(owner, '__name__', type(owner).__name__)}.{name}"
            watched = self._watched(step, getattr(owner, name))
            self._monkeypatch.setattr(owner, name, watched)

    def _watched(self, step: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self.taken.append(step)
            if step == self.failing:
                self.failing = ""
                raise RetryableError("fails_once")
            return real(*arguments, **named)

        return call


@pytest.fixture
def steps(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Steps:
    """Of all three functions; each has a process of its own."""
    for cached in (loader.loader, receiver.receiver):
        cached.cache_clear()
    noted = Steps(monkeypatch)
    noted.watch(Quarantine, "put", "copy")
    noted.watch(Checkpoint, "save", "forget")
    noted.watch(loader.loader().stream, "put")
    noted.watch(receiver.receiver().stream, "put")
    return noted


def stored(stack: Stack) -> list[Any]:
    return [d.event for record in stack.stream_records() for d in decode(record)]


# The loader


class Clock(Context):
    """Time runs out after the first chunk of a file."""

    def get_remaining_time_in_millis(self) -> int:
        return loader.SECONDS_FOR_CHUNK * 1000 - 1


def load(context: Context) -> bool:
    """Whether the file is finished."""
    event = sample("currents_loader")
    event["Records"][0]["s3"]["object"]["key"] = KEY
    try:
        loader.handler(event, context)
    except RetryableError:
        return False
    return True


@cache
def large_file() -> bytes:
    """9,000 events, of which the first fits into no record."""
    made = CurrentsSource(["u"], 1)
    events = [made.event(KIND) for _ in range(9_000)]
    noise = random.Random(1).randbytes(1_500_000).hex()
    events[0]["properties"]["user_agent"] = noise
    return avro_file(KIND, events)


def put_file(stack: Stack, *, damaged: bool = False) -> set[str]:
    """Store the large file, perhaps without its end; the ids that it must give."""
    content = large_file()[: -30 if damaged else None]
    stack.s3.put_object(Bucket="currents", Key=KEY, Body=content)
    ids: list[str] = []
    with suppress(MalformedInput):
        for event in read_events(f"event_type={KIND}/", io.BytesIO(content)):
            ids.append(str(event["id"]))  # noqa: PERF401 - until it breaks off
    return set(ids[1:])


def test_the_loader_quarantines_before_it_saves_its_checkpoint(
    stack: Stack, steps: Steps
) -> None:
    put_file(stack)
    assert not load(Clock())
    assert steps.taken == ["Quarantine.put", "Checkpoint.save"]
    steps.taken.clear()
    assert load(Context(600))
    assert set(steps.taken[:-1]) == {"Stream.put"}
    assert steps.taken[-1] == "Checkpoint.forget"


def test_the_loader_deletes_its_checkpoint_last_even_of_a_damaged_file(
    stack: Stack, steps: Steps
) -> None:
    put_file(stack, damaged=True)
    assert not load(Clock())
    steps.taken.clear()
    assert load(Context(600))
    assert steps.taken[-2:] == ["Quarantine.copy", "Checkpoint.forget"]


@pytest.mark.parametrize(
    "failing",
    [
        *("Stream.put", "Quarantine.put", "Quarantine.copy"),
        *("Checkpoint.save", "Checkpoint.forget"),
    ],
)
def test_whichever_step_of_the_loader_fails_once_nothing_of_a_file_is_lost(
    stack: Stack, steps: Steps, failing: str
) -> None:
    expected = put_file(stack, damaged=True)
    steps.failing = failing
    assert not load(Clock())
    # As Lambda does: until it succeeds, and twice at most.
    assert load(Context(600)) or load(Context(600))
    assert steps.failing == ""
    assert {event["id"] for event in stored(stack)} == expected
    quarantined = stack.objects("quarantine/currents/")
    assert len(quarantined) == 2, "the event that fits nowhere, and the file"
    assert stack.objects("progress/") == []


def test_a_checkpoint_stays_until_the_damaged_file_is_quarantined(
    stack: Stack, steps: Steps
) -> None:
    put_file(stack, damaged=True)
    assert not load(Clock())
    steps.failing = "Quarantine.copy"
    assert not load(Context(600))
    assert len(stack.objects("progress/")) == 1


# The receiver


def receive() -> int:
    body = '{"id": "1"}\n{"broken\n{"id": "2"}'
    answer = receiver.handler(sample("currents_receiver") | {"body": body}, Context())
    return int(answer["statusCode"])


def test_the_receiver_answers_2xx_when_all_is_stored(
    stack: Stack, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps.watch(http_api, "write_answer")
    assert receive() == 200
    assert sorted(steps.taken[:2]) == ["Quarantine.put", "Stream.put"]
    assert steps.taken[2:] == ["bridge.aws.http_api.write_answer"]


@pytest.mark.parametrize("failing", ["Quarantine.put", "Stream.put"])
def test_whichever_step_of_the_receiver_fails_once_braze_retries(
    stack: Stack, steps: Steps, failing: str
) -> None:
    steps.failing = failing
    assert receive() == 503
    assert receive() == 200
    assert {event["id"] for event in stored(stack)} == {"1", "2"}
    assert len(stack.objects("quarantine/currents/")) == 1


# The importer


def test_the_importer_moves_the_checkpoint_when_all_is_sent_and_quarantined(
    stack: Stack, steps: Steps, mixpanel: MixpanelStandIn
) -> None:
    steps.watch(importer.importer().transport, "post")
    event = batch(b"poison", source().event())
    assert importer.handler(event, Context()) == NONE_FAILED
    assert steps.taken == ["Transport.post", "Quarantine.put"]


@pytest.mark.parametrize(
    ("failing", "first"), [("Transport.post", "1001"), ("Quarantine.put", "1000")]
)
def test_whichever_step_of_the_importer_fails_once_its_record_is_retried(
    stack: Stack, steps: Steps, mixpanel: MixpanelStandIn, failing: str, first: str
) -> None:
    steps.watch(importer.importer().transport, "post")
    event = batch(b"poison", source().event())
    steps.failing = failing
    assert failed(importer.handler(event, Context())) == [first]
    assert importer.handler(event, Context()) == NONE_FAILED
    assert len(mixpanel.visible()) == 1
    assert len(stack.objects("quarantine/currents/")) == 1
