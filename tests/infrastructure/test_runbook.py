"""The runbook explains every word under which an event can be counted or put aside."""

import re
from pathlib import Path

from bridge.currents.delivery.prepare import FAULT
from bridge.currents.delivery.send import REJECTED

ROOT = Path(__file__).parents[2]
BRIDGE = ROOT / "layers" / "application" / "bridge"
CODE = "\n".join(
    path.read_text()
    for path in [
        *(BRIDGE / "currents").rglob("*.py"),
        BRIDGE / "braze" / "currents_event.py",
    ]
)
REASONS = re.compile(r'MalformedInput\(\s*"(\w+)"|return "(\w+_external_id)"')
RULES = re.compile(r'Filtered\("(\w+)"\)|return "(not_included)"')


def test_reasons_and_rules_are_explained() -> None:
    runbook = (ROOT / "docs" / "runbook.md").read_text()
    found = {name for pair in REASONS.findall(CODE) for name in pair if name}
    found |= {name for pair in RULES.findall(CODE) for name in pair if name}
    found |= {REJECTED, FAULT}
    assert len(found) > 15
    assert {name for name in found if f"`{name}`" not in runbook} == set()


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
