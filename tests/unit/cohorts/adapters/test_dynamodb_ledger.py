"""What each write of the ledger asks of DynamoDB: its condition and its expiry.

The condition keeps two writers apart, and moto does not check it as DynamoDB does.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bridge.aws.dynamodb import Table, unpack
from bridge.cohorts.adapters.dynamodb_ledger import DynamoLedger
from bridge.cohorts.adapters.sync_items import RETENTION_SECONDS
from bridge.cohorts.messages import CohortKey, PageMessage
from bridge.cohorts.ports.ledger import PageProgress, Tally
from bridge.cohorts.ports.page_log import Registration
from bridge.cohorts.rules.commit import Resolution
from bridge.cohorts.rules.model import Cohort, Page, Sync, checksum
from bridge.cohorts.rules.placement import Placement
from bridge.mixpanel.cohort_webhook import Action
from tests.unit.scripted_aws import ScriptedAws, Write

NOW = 1_900_000_000
NOW_MS = NOW * 1000
EXPIRES_AT = NOW + RETENTION_SECONDS
KEY = CohortKey(project="33", cohort="7")
PAGE = Page("session-1", Action.ADD, 1, 2, "digest-1", empty=False)
OPENS = Placement(5, opens=True)
JOINS = Placement(5, opens=False)
OPENED = Sync(5, full=False, last_page_at=1, sessions={Action.ADD: frozenset({"s0"})})
MESSAGE = PageMessage(key=KEY, seq=5, action=Action.ADD, page="1", digest="digest-1")

SYNC, PAGE_SK = "S#000000000000005", "P#000000000000005#add_members#1"
PROGRESS, SESSION = "A#000000000000005#add_members#1", "X#session-1"

type Use = Callable[[DynamoLedger], object]


def writes(use: Use) -> dict[str, Write]:
    """What the ledger writes, by sort key."""
    aws = ScriptedAws("dynamodb", {})
    use(DynamoLedger(Table(aws.client, "ledger"), NOW + 0.9))
    requests = aws.requests("UpdateItem")
    for transaction in aws.requests("TransactWriteItems"):
        requests += [item["Update"] for item in transaction["TransactItems"]]
    assert {request["TableName"] for request in requests} <= {"ledger"}
    made = [Write(request) for request in requests]
    assert len({write.sk for write in made}) == len(made)
    return {write.sk: write for write in made}


def only_write(use: Use) -> Write:
    (write,) = writes(use).values()
    return write


def register(
    placement: Placement, cohort: Cohort | None = None, **more: Any
) -> dict[str, Write]:
    known = cohort or Cohort()
    registration = Registration(KEY, PAGE, placement, NOW_MS, **more)
    return writes(lambda ledger: ledger.register(known, registration))


# Members


def test_members_are_read_consistently_from_their_shards() -> None:
    aws = ScriptedAws("dynamodb", {"Responses": {"ledger": []}})
    DynamoLedger(Table(aws.client, "ledger"), NOW).members(KEY, ["external_id u"])
    (request,) = aws.requests("BatchGetItem")
    assert request["RequestItems"]["ledger"]["ConsistentRead"] is True
    (asked,) = map(unpack, request["RequestItems"]["ledger"]["Keys"])
    assert asked == {"pk": "M#33#7#15", "sk": "external_id u"}


# A page that comes in


def test_a_page_is_registered_in_one_transaction() -> None:
    aws = ScriptedAws("dynamodb", {})
    ledger = DynamoLedger(Table(aws.client, "ledger"), NOW)
    ledger.register(Cohort(), Registration(KEY, PAGE, OPENS, NOW_MS))
    assert [operation for operation, _ in aws.asked] == ["TransactWriteItems"]


def test_what_opens_a_sync_is_there_for_the_first_time() -> None:
    made = register(OPENS)
    assert {sk: write.condition for sk, write in made.items()} == {
        PAGE_SK: "attribute_not_exists(pk)",
        SYNC: "attribute_not_exists(pk)",
        SESSION: "",
        "HEAD": "attribute_not_exists(revision)",
        "33#7": "",
    }


def test_what_joins_a_sync_needs_it_and_leaves_the_head_alone() -> None:
    cohort = Cohort(newest=5, syncs=(OPENED,), revision=3, first_name="Trial")
    made = register(JOINS, cohort)
    assert {sk: write.condition for sk, write in made.items()} == {
        PAGE_SK: "attribute_not_exists(pk)",
        SYNC: "attribute_exists(pk)",
        SESSION: "",
    }


def test_a_session_of_the_sync_is_written_once() -> None:
    opened = replace(OPENED, sessions={Action.ADD: frozenset({PAGE.session})})
    cohort = Cohort(newest=5, syncs=(opened,), revision=3, first_name="Trial")
    assert set(register(JOINS, cohort)) == {PAGE_SK, SYNC}


def test_the_head_changes_only_as_it_was_read() -> None:
    head = register(OPENS, Cohort(newest=4, first=1, revision=3))["HEAD"]
    assert head.condition == "revision = 3"
    assert head.sets["revision"] == 4
    assert head.sets["newest"] == 5
    assert head.adds == {"open": {5}}


@pytest.mark.parametrize("placement", [OPENS, JOINS])
def test_pages_syncs_and_sessions_expire_together(placement: Placement) -> None:
    made = register(placement)
    for sk in (PAGE_SK, SYNC, SESSION):
        assert made[sk].sets["expires_at"] == EXPIRES_AT


def test_neither_the_cohort_nor_its_entry_in_the_index_ever_expires() -> None:
    made = register(OPENS)
    assert "expires_at" not in made["HEAD"].sets
    assert "expires_at" not in made["33#7"].sets
    assert made["33#7"].adds == {"syncs": 1}


def test_a_page_and_its_sync_say_what_came() -> None:
    restarts = Placement(5, opens=True, restarts=4)
    made = register(restarts, skipped={"no_identifier": 2}, since=NOW_MS - 9)
    assert made[PAGE_SK].sets == {
        "seq": 5,
        "digest": "digest-1",
        "at": NOW_MS,
        "total": 2,
        "expires_at": EXPIRES_AT,
    }
    assert made[SYNC].sets == {
        "full": False,
        "last_page_at": NOW_MS,
        "expires_at": EXPIRES_AT,
        "total_add_members": 2,
        "restarts": 4,
        "since": NOW_MS - 9,
    }
    assert made[SYNC].adds == {
        "sessions_add_members": {"session-1"},
        "accepted_add_members": 1,
        "checksum_add_members": checksum("1"),
        "skipped_add_members_no_identifier": 2,
    }


# A page that is applied


def test_a_page_takes_effect_once() -> None:
    made = writes(
        lambda ledger: ledger.mark_processed(MESSAGE, Tally({"no_identifier": 3}))
    )
    assert list(made) == [SYNC, PAGE_SK], "marked once it is counted"
    assert made[SYNC].condition == (
        "attribute_exists(pk) AND (attribute_not_exists(last_processed) "
        "OR last_processed <> add_members#1)"
    )
    assert made[SYNC].sets == {"last_processed": "add_members#1"}
    assert made[SYNC].adds == {"processed": 1, "skipped_add_members_no_identifier": 3}
    assert made[PAGE_SK].condition == "attribute_exists(pk)"
    assert made[PAGE_SK].sets == {"processed": True}


def test_progress_of_a_page_expires() -> None:
    progress = PageProgress(done=1, size=2, tries=3)
    write = only_write(lambda ledger: ledger.save_progress(MESSAGE, progress))
    assert write.sk == PROGRESS
    assert write.sets == {
        "progress": {"done": 1, "size": 2, "tries": 3},
        "expires_at": EXPIRES_AT,
    }


IF_THERE = "attribute_exists(pk)"


@pytest.mark.parametrize(
    ("use", "sk", "sets", "adds"),
    [
        (lambda x: x.mark_sent(MESSAGE, 8), PAGE_SK, {"sent": True, "at": 8}, {}),
        (lambda x: x.mark_called(KEY, 5, 8), SYNC, {"last_page_at": 8}, {}),
        (
            lambda x: x.mark_repeats(KEY, [(5, 3), (5, 4)]),
            SYNC,
            {},
            {"repeats": {3, 4}},
        ),
        (lambda x: x.count_rejected(MESSAGE, {"r": 2}), SYNC, {}, {"rejected_r": 2}),
        (lambda x: x.begin_day(KEY, 9), "33#7", {"day": 9}, {}),
    ],
    ids=["sent", "called", "repeats", "rejected", "day"],
)
def test_what_has_expired_is_not_written_anew_by_halves(
    use: Use, sk: str, sets: dict[str, Any], adds: dict[str, Any]
) -> None:
    """An item of an attribute or two, without an expiry, would stay for ever."""
    write = only_write(use)
    assert (write.sk, write.condition) == (sk, IF_THERE)
    assert (write.sets, write.adds) == (sets, adds)


def test_nobody_rejected_is_not_written() -> None:
    assert writes(lambda ledger: ledger.count_rejected(MESSAGE, {})) == {}


# Resolutions


def test_a_resolution_is_written_only_for_the_cohort_it_was_made_from() -> None:
    resolution = Resolution(
        5,
        measuring=6,
        held_removal=7,
        newly_aborted=frozenset({3}),
        mislabelled=9,
        finished=frozenset({4}),
    )
    cohort, counts = Cohort(revision=8, skipped={"no_identifier": 2}), {"in": -3}
    made = writes(lambda ledger: ledger.advance(KEY, cohort, resolution, counts))
    assert set(made) == {"HEAD", "S#000000000000003"}
    head = made["HEAD"]
    assert head.condition == "revision = 8"
    assert head.sets == {
        "baseline": 5,
        "measuring": 6,
        "held_removal": 7,
        "mislabelled": 9,
        "skipped": {},
        "revision": 9,
    }
    assert head.adds == {"aborted": {3}, "count_in": -3, "counted": 1}
    assert head.deletes == {"open": {4}}
    assert made["S#000000000000003"].sets == {"aborted": True}


def test_counts_that_do_not_change_are_not_written() -> None:
    assert writes(lambda ledger: ledger.count(KEY, {"in": 0})) == {}
    head = only_write(lambda ledger: ledger.count(KEY, {"in": 2, "rejected_x": -1}))
    assert head.adds == {"count_in": 2, "count_rejected_x": -1, "counted": 1}


def test_the_first_resolution_is_written_only_where_there_is_none() -> None:
    head = only_write(lambda ledger: ledger.advance(KEY, Cohort(), Resolution(5), {}))
    assert head.condition == "attribute_not_exists(revision)"


@pytest.mark.parametrize(
    ("use", "sets"),
    [
        (lambda x: x.rename(KEY, "Trial"), {"name": "Trial"}),
        (
            lambda x: x.publish(KEY, "place", "Trial"),
            {"destination": "place", "published_name": "Trial"},
        ),
    ],
    ids=["rename", "publish"],
)
def test_what_is_said_of_the_cohort_needs_no_cohort(
    use: Use, sets: dict[str, str]
) -> None:
    head = only_write(use)
    assert (head.sk, head.condition, head.sets) == ("HEAD", "", sets)


def test_aborted_syncs_are_forgotten_once_they_are_rolled_back() -> None:
    head = only_write(lambda ledger: ledger.forget_aborted(KEY, [3, 4]))
    assert (head.sk, head.deletes) == ("HEAD", {"aborted": {3, 4}})
    assert writes(lambda ledger: ledger.forget_aborted(KEY, [])) == {}
