"""Take a cohort, or a person, out of the ledger; the operator alone does that."""

from collections.abc import Iterator, Sequence

from bridge.aws.dynamodb import Table
from bridge.cohorts.adapters.member_items import (
    SHARDS,
    index_pk,
    member_pk,
    open_pushes_pk,
    rejected_pk,
    shard_of,
)
from bridge.cohorts.adapters.sync_items import COHORTS, cohort_pk
from bridge.cohorts.messages import CohortKey

STEP = 500

WHOLE = (rejected_pk, open_pushes_pk, cohort_pk)
"""What names the partitions that a cohort has one of; its own comes last."""

type ItemKey = tuple[str, str]
"""Partition and sort key of an item."""


def cohort_items(table: Table, key: CohortKey) -> Iterator[Sequence[ItemKey]]:
    """The keys of all items of a cohort, some at a time; the index comes last.

    An interrupted deletion leaves the cohort in the index, so that it can be repeated.
    """
    index = f"I#{cohort_pk(key)[2:]}"
    partitions = [member_pk(key, shard) for shard in range(SHARDS)]
    partitions += [f"{index}#{shard:02d}" for shard in range(SHARDS)]
    for pk in [*partitions, *(of(key) for of in WHOLE)]:
        after = ""
        while found := table.query(pk, after, STEP):
            yield [(pk, item["sk"]) for item in found]
            after = found[-1]["sk"]
    yield [(COHORTS, cohort_pk(key)[2:])]


def person_items(
    key: CohortKey, members: Sequence[str], distinct_ids: Sequence[str]
) -> list[ItemKey]:
    """The keys of the items of a person in one cohort, whether they exist or not."""
    return [
        *((member_pk(key, shard_of(member)), member) for member in members),
        *((rejected_pk(key), member) for member in members),
        *((index_pk(key, each), each) for each in distinct_ids),
    ]
