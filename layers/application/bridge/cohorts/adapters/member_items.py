"""The items of members, of the index of profiles and of the counts (pure).

`sync_items.py` has the table of all items.
"""

import hashlib
from collections.abc import Mapping

from bridge.aws.dynamodb import Item, Update
from bridge.cohorts.adapters.sync_items import (
    COUNT,
    REJECTED,
    cohort_pk,
    page_sk,
    skipped_by,
)
from bridge.cohorts.messages import CohortKey, PageMessage
from bridge.cohorts.ports.ledger import Tally
from bridge.cohorts.rules.membership import Confirmed, Member, Place
from bridge.mixpanel.cohort_webhook import Action

SHARDS = 16
"""Shards of a cohort: one DynamoDB partition takes a thousand writes a second."""


def member_item(key: CohortKey, member: Member, expires_at: int) -> Item:
    """A whole member; one who is confirmed out expires."""
    item: Item = {
        "pk": member_pk(key, shard_of(member.key)),
        "sk": member.key,
        "profiles": {
            distinct_id: {str(seq): said for seq, said in versions.items()}
            for distinct_id, versions in member.profiles.items()
        },
        "confirmed": member.confirmed.value,
        "destination": member.destination,
        "pushed_at": member.pushed_at,
    }
    if member.rejected:
        item["rejected"] = member.rejected
    if member.braze_id:
        item["braze_id"] = member.braze_id
    if member.counted:
        item["counted"] = member.counted
    if member.confirmed is Confirmed.OUT and not member.rejected:
        item["expires_at"] = expires_at
    return item


def index_item(key: CohortKey, distinct_id: str, place: Place) -> Item:
    """A profile in the index; DynamoDB takes no empty set."""
    return {
        "pk": index_pk(key, distinct_id),
        "sk": distinct_id,
        "keys": place.keys or {""},
        "entry": place.entry,
    }


def read_place(item: Item) -> Place:
    """Where a profile stands, from its item in the index."""
    return Place(frozenset(item["keys"]) - {""}, int(item["entry"]))


def read_member(item: Item) -> Member:
    """A member from its item."""
    return Member(
        key=item["sk"],
        profiles={
            distinct_id: {int(seq): said for seq, said in versions.items()}
            for distinct_id, versions in item["profiles"].items()
        },
        confirmed=Confirmed(item["confirmed"]),
        destination=item["destination"],
        pushed_at=int(item["pushed_at"]),
        rejected=item.get("rejected", ""),
        braze_id=item.get("braze_id", ""),
        counted=item.get("counted", ""),
    )


def member_pk(key: CohortKey, shard: int) -> str:
    """Partition of one shard of its members."""
    return f"M#{cohort_pk(key)[2:]}#{shard:02d}"


def index_pk(key: CohortKey, distinct_id: str) -> str:
    """Partition of one shard of the index of profiles."""
    return f"I#{cohort_pk(key)[2:]}#{shard_of(distinct_id):02d}"


def rejected_pk(key: CohortKey) -> str:
    """Partition of its list of rejected members."""
    return f"J#{cohort_pk(key)[2:]}"


def shard_of(member: str) -> int:
    """The shard of a member."""
    return hashlib.sha256(member.encode()).digest()[0] % SHARDS


def progress_sk(message: PageMessage) -> str:
    """Sort key of a page's progress: not every message has a page item."""
    return f"A{page_sk(message.seq, message.action, message.page)[1:]}"


def tally_counts(action: Action, tally: Tally) -> dict[str, int]:
    """The attributes of a sync in which a page's tally is added up."""
    counts = {f"{skipped_by(action)}{reason}": n for reason, n in tally.skipped.items()}
    counts |= {f"{REJECTED}{reason}": n for reason, n in tally.rejected.items()}
    counts |= {"listed": tally.listed, "already_in": tally.already_in}
    return {attribute: number for attribute, number in counts.items() if number}


def add_counts(head: Update, change: Mapping[str, int]) -> None:
    """Add to the counts of a cohort; `counted` tells that somebody did."""
    changed = {name: number for name, number in change.items() if number}
    for name, number in changed.items():
        head.add(f"{COUNT}{name}", number)
    if changed:
        head.add("counted", 1)
