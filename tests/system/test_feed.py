"""`python -m bench.feed`, by which others measure, tells the truth about its run."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench import sample
from bench.built import BUILD
from bench.feed import TOKEN
from sandbox.mixpanel import MixpanelStandIn

pytestmark = pytest.mark.skipif(not BUILD.is_dir(), reason="make build comes first")
ROOT = Path(__file__).parents[2]
NOW = 1_767_225_600.0 + 86_500


def fed(path: Path, mixpanel: MixpanelStandIn) -> tuple[int, dict[str, object]]:
    port = mixpanel.url.rpartition(":")[2]
    done = subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-m", "bench.feed", str(path), port],
        cwd=ROOT,
        env={},
        capture_output=True,
        check=False,
    )
    return done.returncode, json.loads(done.stdout)


@pytest.fixture
def payloads(tmp_path: Path) -> Path:
    path = tmp_path / "payloads"
    events = [json.loads(line) for line in sample.events()[:30]]
    del events[7]["user"]["external_user_id"]
    del events[11]["time"]
    lines = [json.dumps(event).encode() for event in events]
    sample.write_payloads(path, lines, 20)
    return path


def test_the_accounts_close_once_every_event_has_an_outcome(payloads: Path) -> None:
    with MixpanelStandIn(project_token=TOKEN, clock=lambda: NOW) as mixpanel:
        code, result = fed(payloads, mixpanel)
    assert (code, result["delivered"], result["closed"]) == (0, True, True)
    assert result["EventsReceived"] == 30
    assert result["EventsFiltered"] == result["EventsQuarantined"] == 1
    assert result["EventsDelivered"] == len(mixpanel.events) == 28


def test_a_batch_that_fails_ends_it_with_an_error(payloads: Path) -> None:
    with MixpanelStandIn(project_token="another", clock=lambda: NOW) as mixpanel:
        code, result = fed(payloads, mixpanel)
    assert (code, result["delivered"], result["closed"]) == (1, False, False)
    assert result["EventsDeferred"] == 19
    assert not mixpanel.events
