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
    explained = ("ErrorsAlarm", "ThrottlesAlarm")
    assert [
        name
        for name in names
        if f"`{name}`" not in runbook and not name.endswith(explained)
    ] == []
