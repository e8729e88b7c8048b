"""`bridge rules check`: what is wrong with a file of rules, before it is deployed."""

import json
from pathlib import Path

import pytest

from cli.__main__ import main

SAMPLE = Path(__file__).parents[3] / "events" / "currents_rules.json"


def test_a_right_file_is_right(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "check", str(SAMPLE)]) == 0
    assert "can be used" in capsys.readouterr().out


def test_a_wrong_file_is_told_by_its_entry(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rules.json").write_text('{"drop_properties": ["time"]}')
    assert main(["rules", "check", str(tmp_path / "rules.json")]) == 1
    assert "drop_properties.0" in capsys.readouterr().err


def test_a_name_that_nothing_has_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rules.json").write_text('{"drop_properties": ["emial_address"]}')
    assert main(["rules", "check", str(tmp_path / "rules.json")]) == 0
    assert "emial_address is no known property" in capsys.readouterr().out


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["additionalProperties"] is False
    described = [
        each for each in schema["properties"].values() if "description" in each
    ]
    assert len(described) == len(schema["properties"])
