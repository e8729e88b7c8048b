"""The runbook explains every alarm; its tables of reasons are in `test_reasons`."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_alarm_is_explained() -> None:
    runbook = (ROOT / "docs" / "runbook.md").read_text()
    names = re.findall(
        r"^  (\w+Alarm):$", (ROOT / "template.yaml").read_text(), re.MULTILINE
    )
    assert len(names) > 20
    explained = ("ErrorsAlarm", "ThrottlesAlarm", "FaultsAlarm", "StoreAlarm")
    assert [
        name
        for name in names
        if f"`{name}`" not in runbook and not name.endswith(explained)
    ] == []


def test_the_log_lines_that_the_runbook_names_are_written() -> None:
    runbook = (ROOT / "docs" / "runbook.md").read_text()
    named = set(re.findall(r"`(?!make |bridge )([a-z]+(?: [a-z]+){1,3})`", runbook))
    assert "batch delivered" in named
    code = "\n".join(
        path.read_text()
        for folder in ("functions", "layers/application/bridge")
        for path in (ROOT / folder).rglob("*.py")
    )
    assert {line for line in named if f'"{line}"' not in code} == set()
