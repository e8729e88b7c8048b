"""The items of the ledger: their keys, their expiry, and what they read back as.

An item that expires too early takes a member out of the ledger who is still in Braze's
cohort.
"""

import pytest

from bridge.cohorts.adapters.member_items import (
    SHARDS,
    member_item,
    member_pk,
    open_push_items,
    read_member,
    read_open_push,
    shard_of,
)
from bridge.cohorts.adapters.sync_items import (
    cohort_pk,
    head_update,
    page_sk,
    read_cohort,
    read_page,
    sync_sk,
)
from bridge.cohorts.messages import CohortKey
from bridge.cohorts.ports.ledger import OpenPush
from bridge.cohorts.ports.page_log import Registration
from bridge.cohorts.rules.membership import Confirmed, Member
from bridge.cohorts.rules.model import Cohort, Page, RegisteredPage
from bridge.cohorts.rules.placement import Placement
from bridge.mixpanel.cohort_webhook import Action

KEY = CohortKey(project="33", cohort="7")
EXPIRES_AT = 1_902_592_000


@pytest.mark.parametrize(
    "confirmed", [Confirmed.IN, Confirmed.UNKNOWN, Confirmed.QUARANTINED]
)
def test_a_member_who_may_be_in_brazes_cohort_never_expires(
    confirmed: Confirmed,
) -> None:
    item = member_item(KEY, Member("e:u", confirmed=confirmed), EXPIRES_AT)
    assert "expires_at" not in item


def test_a_member_who_is_out_expires_with_the_syncs_that_removed_them() -> None:
    item = member_item(KEY, Member("e:u", confirmed=Confirmed.OUT), EXPIRES_AT)
    assert item["expires_at"] == EXPIRES_AT


def test_every_state_of_a_member_is_one_of_these() -> None:
    assert set(Confirmed) == {"in", "unknown", "quarantined", "out"}


@pytest.mark.parametrize("confirmed", Confirmed)
def test_a_member_reads_back_as_written(confirmed: Confirmed) -> None:
    member = Member("e:u", {"p": {5: True, 6: False}}, confirmed, "here", 9)
    assert read_member(member_item(KEY, member, EXPIRES_AT)) == member


@pytest.mark.parametrize(
    "keys", [["e:u"], [f"e:{n:04}{'ä' * 480}" for n in range(999)]]
)
def test_an_open_push_reads_back_from_items_that_dynamodb_takes(
    keys: list[str],
) -> None:
    begun = OpenPush("here", 1_900_000_000_000, keys)
    items = [*open_push_items(KEY, begun)]
    assert len({(item["pk"], item["sk"]) for item in items}) == len(items)
    assert all(len(item["keys"].encode()) < 300_000 for item in items)
    assert all("expires_at" not in item for item in items)
    parts = [read_open_push(item) for item in items]
    assert [key for part in parts for key in part.keys] == keys
    assert {(part.destination, part.at) for part in parts} == {("here", begun.at)}
    for part, item in zip(parts, items, strict=True):
        assert [*open_push_items(KEY, part)] == [item], "so each can end by itself"


def test_members_are_spread_over_all_shards() -> None:
    shards = [shard_of(f"e:u{number}") for number in range(1_000)]
    assert set(shards) == set(range(SHARDS))
    assert member_pk(KEY, 3) == "M#33#7#03"


def test_keys_sort_by_sync_and_never_meet_those_of_another_kind() -> None:
    assert sync_sk(9) < sync_sk(10)
    assert page_sk(9, Action.REMOVE, "9") < page_sk(10, Action.ADD, "1")
    assert cohort_pk(KEY) == "C#33#7"


def test_a_page_whose_name_has_a_separator_reads_back_as_written() -> None:
    item = {"sk": page_sk(5, Action.FULL, "a#b"), "digest": "d", "at": 7}
    assert read_page(item) == RegisteredPage(Action.FULL, "a#b", "d", None, 7)


def test_a_cohort_that_was_never_written_is_a_new_one() -> None:
    assert read_cohort({}, ()) == Cohort()


def test_a_page_that_says_nothing_new_leaves_the_head_alone() -> None:
    page = Page("s1", Action.FULL, 1, 1, "d", empty=False)
    registration = Registration(KEY, page, Placement(5, opens=False), 0, name="Trial")
    named = Cohort(name="Trial", first_name="Trial")
    assert head_update(named, registration, None) is None
    assert head_update(Cohort(), registration, None) is not None
