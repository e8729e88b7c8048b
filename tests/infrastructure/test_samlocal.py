"""`make samlocal` without an engine: what it would run, and the word it says."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.cloudformation.template import Template
from scripts.samlocal import __main__ as samlocal

ROOT = Path(__file__).parents[2]
EVENTS = {each.stem for each in (ROOT / "events").glob("*.json")}


def test_every_sample_event_is_invoked_and_every_function_has_one() -> None:
    far: Any = samlocal.FarEnds.__new__(samlocal.FarEnds)
    cases = samlocal.cases(far)
    # The rules are a file of the data bucket, and no event.
    assert {case.event for case in cases} == EVENTS - {"currents_rules"}
    required = {"MixpanelRegion": "EU", "BrazeRestEndpoint": "https://rest.a.braze.com"}
    template = Template(ROOT, required, "eu-west-1", endpoint="http://127.0.0.1")
    functions = template.of_type("AWS::Serverless::Function")
    assert {case.function for case in cases} == set(functions)


def test_a_maintenance_event_is_what_a_schedule_sends() -> None:
    """Amazon EventBridge User Guide, "Scheduled Event"."""
    event = json.loads((ROOT / "events" / "cohort_maintenance.json").read_text())
    assert (event["source"], event["detail-type"]) == ("aws.events", "Scheduled Event")


def test_no_default_of_the_template_is_a_float() -> None:
    """sam local hands it on as a number, which no environment takes."""

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_multi_constructor("!", lambda *_: None)
    text = (ROOT / "template.yaml").read_text()
    parameters = yaml.load(text, Loader)["Parameters"]  # noqa: S506
    floats = [n for n, p in parameters.items() if isinstance(p.get("Default"), float)]
    assert floats == []


def test_without_an_engine_it_says_so_and_what_does_without(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert samlocal.main() == 2
    assert "no container engine answers" in capsys.readouterr().err
