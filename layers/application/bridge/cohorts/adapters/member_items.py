"""The items of members, of the index of profiles and of the counts (pure).

`sync_items.py` has the table of all items.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import fields

import orjson

from bridge.aws.dynamodb import Item, Update
from bridge.chunking import by_size
from bridge.cohorts.adapters.sync_items import (
    COUNT,
    REJECTED,
    cohort_pk,
    page_sk,
    skipped_by,
)
from bridge.cohorts.messages import CohortKey, PageMessage
from bridge.cohorts.ports.ledger import OpenPush, Tally
from bridge.cohorts.rules.membership import Confirmed, Member, Place
from bridge.digest import digest
from bridge.mixpanel.cohort_webhook import Action

MAX_KEYS_SIZE = 200_000
"""Bytes of the keys in one item of an open push; DynamoDB takes 400 kB."""

_STATE = [each.name for each in fields(Member) if each.name != "key"]
_NOTHING = {name: getattr(Member(""), name) for name in _STATE}

SHARDS = 16
"""Shards of a cohort: one DynamoDB partition takes a thousand writes a second."""


def member_item(key: CohortKey, member: Member, expires_at: int) -> Item:
    """A whole member; one who is confirmed out expires.

    All that is known of it is one text: botocore takes a time for each attribute of an
    item, and a page holds a thousand items.
    """
    state = {
        name: value
        for name in _STATE
        if (value := getattr(member, name)) != _NOTHING[name]
    }
    item: Item = {
        "pk": member_pk(key, shard_of(member.key)),
        "sk": member.key,
        "state": orjson.dumps(state, option=orjson.OPT_NON_STR_KEYS).decode(),
    }
    if member.confirmed is Confirmed.OUT and not member.rejected:
        item["expires_at"] = expires_at
    return item


def open_push_items(key: CohortKey, begun: OpenPush) -> Iterator[Item]:
    """An open push, in as many items as its members' keys take."""
    parts = by_size(begun.keys, len(begun.keys), MAX_KEYS_SIZE, _size)
    for keys in parts:
        yield {
            "pk": open_pushes_pk(key),
            "sk": f"{begun.at:013d}#{digest(keys[0])[:12]}",
            "destination": begun.destination,
            "at": begun.at,
            "keys": orjson.dumps(keys).decode(),
        }


def read_open_push(item: Item) -> OpenPush:
    """An open push, or a part of one, from its item."""
    return OpenPush(item["destination"], int(item["at"]), orjson.loads(item["keys"]))


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
    state = _NOTHING | orjson.loads(item["state"])
    profiles = {
        distinct_id: {int(seq): said for seq, said in versions.items()}
        for distinct_id, versions in state.pop("profiles").items()
    }
    confirmed = Confirmed(state.pop("confirmed"))
    return Member(item["sk"], profiles, confirmed, **state)


def open_pushes_pk(key: CohortKey) -> str:
    """Partition of its open pushes."""
    return f"O#{cohort_pk(key)[2:]}"


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


def _size(key: str) -> int:
    return len(key.encode())
