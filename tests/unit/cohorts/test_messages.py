"""What the queue carries, and by what it recognizes a repeat."""

import json
from typing import Any

import pytest

from bridge.cohorts.cohort_messages import RescanMessage, read
from bridge.cohorts.messages import CohortKey, PageMessage, write
from bridge.errors import MalformedInput
from bridge.mixpanel.cohort_webhook import Action

KEY = CohortKey(project="3300471", cohort="8120045")


PAGE = PageMessage(key=KEY, seq=5, action=Action.ADD, page="1", digest="d")


RESCAN = RescanMessage(key=KEY, baseline=5, aborted=(3, 4), shard=2, after="e:ü\x00")


@pytest.mark.parametrize("message", [PAGE, RESCAN])
def test_messages_are_plain_ascii_and_read_back(
    message: PageMessage | RescanMessage,
) -> None:
    text = write(message)
    assert text.isascii()
    assert text.isprintable()
    assert read(text) == message


@pytest.mark.parametrize(
    "change",
    [
        {"digest": "other"},
        {"page": "2"},
        {"action": Action.REMOVE},
        {"seq": 6},
        {"key": CohortKey(project="3300471", cohort="9")},
    ],
)
def test_another_page_or_another_content_is_no_repeat(
    change: dict[str, object],
) -> None:
    other = PAGE.model_copy(update=change)
    assert other.deduplication_id != PAGE.deduplication_id


def test_ids_fit_into_what_sqs_allows() -> None:
    odd = CohortKey(project="ü" * 100, cohort="\ud800#")
    message = PAGE.model_copy(update={"key": odd})
    for each in (odd.group, message.deduplication_id):
        assert len(each) <= 128
        assert each.isalnum()


def test_groups_are_by_project_and_cohort() -> None:
    one = CohortKey(project="1", cohort="23")
    other = CohortKey(project="12", cohort="3")
    assert one.group != other.group


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", json.dumps({"kind": "odd"}), '{"kind": "page"}']
)
def test_what_is_none_of_ours_is_malformed(text: str) -> None:
    with pytest.raises(MalformedInput):
        read(text)


@pytest.mark.parametrize("cohort", ["\U0001f984" * 100, "..", "."])
def test_an_odd_cohort_has_a_place_in_every_store(cohort: str) -> None:
    key = CohortKey(project="1", cohort=cohort)
    assert key.place == key.group


def test_an_ordinary_cohort_can_be_read_in_its_place() -> None:
    assert CohortKey(project="3300471", cohort="8120045").place == "3300471#8120045"
    assert CohortKey(project="a#b", cohort="c").place != (
        CohortKey(project="a", cohort="b#c").place
    )


def test_one_group_a_cohort() -> None:
    """Two groups would be two writers; one for two cohorts would make them wait."""
    groups = {
        CohortKey(project=project, cohort=cohort).group
        for project, cohort in [("33", "7"), ("33", "8"), ("3", "37"), ("34", "7")]
    }
    assert len(groups) == 4
    assert PAGE.key.group == RescanMessage(key=KEY).key.group


@pytest.mark.parametrize(
    "change",
    [
        {"key": CohortKey(project="33", cohort="8")},
        {"seq": 6},
        {"action": Action.REMOVE},
        {"page": "2"},
        {"digest": "e"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_two_pages_are_never_taken_for_one(change: dict[str, Any]) -> None:
    other = PAGE.model_copy(update=change)
    assert other.deduplication_id != PAGE.deduplication_id


@pytest.mark.parametrize(
    "change",
    [
        {"baseline": 1},
        {"aborted": (1,)},
        {"day": 1},
        {"days": 1},
        {"destination": "x"},
        {"shard": 1},
        {"after": "x"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_two_steps_of_a_rescan_are_never_taken_for_one(change: dict[str, Any]) -> None:
    step = RescanMessage(key=KEY)
    other = step.model_copy(update=change)
    assert other.deduplication_id != step.deduplication_id


def test_a_message_that_is_resent_names_itself_as_before() -> None:
    assert PAGE.model_copy().deduplication_id == PAGE.deduplication_id
    assert PAGE.deduplication_id.isalnum()
    assert len(PAGE.deduplication_id) <= 128
