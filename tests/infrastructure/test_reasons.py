"""Every reason that the code can state is in the enum, and the runbook explains it."""

import json
from pathlib import Path

import pytest

from bridge.reasons import Reason, ReasonPattern
from cli.explain import Consequence, explanations
from scripts import runbook_page
from tests.infrastructure.reason_positions import CODE, find, mentioned

SOURCES = [path.read_text() for path in CODE]

FILLED_BY_THE_TRANSPORT = {"…_…"}
"""`<vendor>_network` and `<vendor>_status_<status>` come from one f-string."""


def test_every_text_that_the_code_gives_as_a_reason_is_in_the_enum() -> None:
    assert find(SOURCES).texts - {*Reason} == set()


def test_every_text_with_a_varying_part_is_in_the_enum() -> None:
    patterns = find(SOURCES).patterns - FILLED_BY_THE_TRANSPORT
    assert patterns - {*ReasonPattern} == set()


def test_every_reason_of_the_enum_is_stated_by_the_code() -> None:
    found = find(SOURCES)
    stated = found.texts | (mentioned(SOURCES) & {*Reason})
    stated |= {Reason[name] for name in found.members if name in Reason.__members__}
    assert {*Reason} - stated == set()


@pytest.mark.parametrize(
    "source",
    [
        'raise RetryableError("new_reason", "a message")',
        'raise MalformedInput(reason="new_reason")',
        'class Late(RetryableError):\n def f(self): super().__init__("new_reason")',
        'def f(x): return Filtered("new_reason")',
        'def f(x): return "new_reason" if x else None',
        'def f(x): return "", "new_reason"',
        'done.skipped["new_reason"] += 1',
        'NEW = "new_reason"\nraise PermanentError(NEW)',
    ],
)
def test_a_reason_is_found_wherever_it_is_stated(source: str) -> None:
    errors = "class RetryableError(BridgeError): ...\n"
    errors += "class PermanentError(BridgeError): ...\n"
    errors += "class MalformedInput(PermanentError): ...\n"
    assert find([errors + source]).texts == {"new_reason"}


def test_every_reason_is_explained_in_sentences_for_each_of_its_consequences() -> None:
    assert set(explanations()) == {*Reason, *ReasonPattern}
    for reason, sentences in explanations().items():
        for sentence in sentences.values():
            assert sentence.endswith("."), reason
            assert sentence[0].isupper() or sentence[0] == "`", reason


def test_a_reason_is_its_text() -> None:
    text: str = Reason.NOT_JSON
    assert text == "not_json"
    assert f"{text}" == "not_json"
    assert json.dumps({text: text}) == '{"not_json": "not_json"}'
    assert {text: 1}["not_json"] == 1


def test_the_runbook_has_the_tables_of_the_enum() -> None:
    written = runbook_page.PAGE.read_text()
    assert runbook_page.page(written) == written


def test_every_reason_that_shows_is_in_the_runbook() -> None:
    runbook = runbook_page.PAGE.read_text()
    showing = [
        reason
        for reason, sentences in explanations().items()
        if set(sentences) != {Consequence.INTERNAL}
    ]
    assert len(showing) > 60
    assert [each for each in showing if f"| `{each}` |" not in runbook] == []


def test_a_page_that_lost_a_table_is_noticed() -> None:
    written = runbook_page.PAGE.read_text()
    with pytest.raises(ValueError, match="one table for each consequence"):
        runbook_page.page(written.replace("<!-- reasons: deferred -->", ""))


def test_the_code_is_all_of_it() -> None:
    folders = {path.parent.name for path in CODE}
    assert {"rules", "mapping", "braze", "cohort_webhook", "currents_importer"} <= (
        folders
    )
    assert Path(__file__).name not in {path.name for path in CODE}
