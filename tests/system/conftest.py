"""The built stack in the local cloud, one for all system tests, and its substitutes.

Rows of many thousands of calls run the handlers in this process instead.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.aws import clients
from functions.cohort_consumer import app as consumer
from functions.cohort_webhook import app as webhook
from sandbox.braze import BrazeStandIn
from sandbox.cloud import Cloud
from tests.fakes.memory_ledger import MemoryLedger
from tests.integration.conftest import mixpanel, stack
from tests.integration.stack import REST_KEY, Stack
from tests.system.doors import Door
from tests.system.syncs import AT_ONCE
from tests.system.virtual import BrazeWire, VirtualWorld

__all__ = ["mixpanel", "stack"]

BUILD = Path(__file__).parents[2] / ".aws-sam" / "build"


@pytest.fixture(scope="session")
def built() -> Path:
    """The folder `make build` fills; without it these tests have nothing to run."""
    if not (BUILD / "template.yaml").exists():
        pytest.fail("run `make build` first, or `make test`")
    return BUILD


@pytest.fixture(scope="session")
def cloud(built: Path) -> Iterator[Cloud]:
    with Cloud(built, parameters=AT_ONCE) as running:
        yield running


def replace_clients(monkeypatch: pytest.MonkeyPatch, **fakes: Any) -> None:
    """Have the functions talk to these in place of a service of AWS."""
    real = clients.create
    monkeypatch.setattr(
        clients, "create", lambda name, *more: fakes.get(name) or real(name, *more)
    )


@pytest.fixture
def door(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    opened = Door(stack)
    replace_clients(monkeypatch, s3=opened.bucket, sqs=opened.queue)
    webhook.webhook.cache_clear()
    yield opened
    webhook.webhook.cache_clear()


@pytest.fixture
def swift_door(door: Door, monkeypatch: pytest.MonkeyPatch) -> Door:
    """The ledger is in memory; the model's tests hold the two ledgers to be one."""
    door.ledger = MemoryLedger()
    monkeypatch.setattr(webhook.Webhook, "_ledger", lambda *_: door.ledger)
    return door


@pytest.fixture
def virtual(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[VirtualWorld]:
    with BrazeStandIn(rest_api_keys=[REST_KEY]) as braze:
        monkeypatch.setenv("BRAZE_REST_ENDPOINT", braze.url)
        world = VirtualWorld(stack, braze)
        replace_clients(monkeypatch, s3=world.bucket, sqs=world.queue)
        webhook.webhook.cache_clear()
        consumer.consumer.cache_clear()
        transport = consumer.consumer().braze.transport
        with BrazeWire(world) as wire:
            wire.trust_env = False
            monkeypatch.setattr(transport, "_session", wire)
            monkeypatch.setattr(transport, "_sleep", world.sleep)
            # What Braze asks to wait for passes in the world's time.
            for clock in ("_now",):
                monkeypatch.setattr(transport, clock, lambda: world.now)
            yield world
        webhook.webhook.cache_clear()
        consumer.consumer.cache_clear()
