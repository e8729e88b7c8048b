"""The items of the ledger's table, and how they are written and read (pure).

pk                          sk                      what
COHORTS                     project#cohort          the index: when it was last called
C#project#cohort            HEAD                    newest, baseline, open, aborted
C#project#cohort            S#seq                   a sync, its pages and counts
C#project#cohort            P#seq#action#page       a page's digest, arrival, state
C#project#cohort            A#seq#action#page       progress of a page that crashed
C#project#cohort            X#session               the sync of a session
M#project#cohort#shard      identifier              a member's versions, confirmed
I#project#cohort#shard      distinct id             identifiers a profile stands under
J#project#cohort            identifier              why and when Braze rejected a member
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from bridge.aws.dynamodb import Item, Update
from bridge.cohorts.messages import CohortKey, PageMessage
from bridge.cohorts.ports.ledger import Registration, Tally
from bridge.cohorts.rules.counts import REJECTED
from bridge.cohorts.rules.gaps import with_gap
from bridge.cohorts.rules.membership import Confirmed, Member, Place
from bridge.cohorts.rules.model import Cohort, Pages, RegisteredPage, Sync, checksum
from bridge.cohorts.rules.placement import (
    shows_empty_calls,
    shows_shared_session,
)
from bridge.mixpanel.cohort_webhook import Action

COHORTS = "COHORTS"
"""Partition of the index of cohorts; a project has sixty at most."""

SHARDS = 16
"""Shards of a cohort: one DynamoDB partition takes a thousand writes a second."""

SENDER = "sender_"
"""Begins the attributes of a cohort that hold the newest sync of each connection."""

COUNT = "count_"
"""Begins the attributes of a cohort that hold the counts of its members."""

RETENTION_SECONDS = 30 * 86_400
"""How long syncs, pages, and members who are confirmed out are kept."""


def page_update(registration: Registration, expires_at: int) -> Update:
    """A page that was not there before."""
    page, seq = registration.page, registration.placement.seq
    sk = page_sk(seq, page.action, page.name)
    update = Update(cohort_pk(registration.key), sk)
    update.assign("seq", seq)
    update.assign("digest", page.digest)
    update.assign("at", registration.now_ms)
    if page.total is not None:
        update.assign("total", page.total)
    update.assign("expires_at", expires_at)
    update.only_if_exists(False)
    return update


def sync_update(registration: Registration, expires_at: int) -> Update:
    """The sync of a page, whether the page opens it or not."""
    page, placement = registration.page, registration.placement
    update = Update(cohort_pk(registration.key), sync_sk(placement.seq))
    update.assign("full", page.action is Action.FULL)
    update.assign("last_page_at", registration.now_ms)
    update.assign("expires_at", expires_at)
    if page.total is not None:
        update.assign(f"total_{page.action}", page.total)
    if not page.infers:
        update.assign("infers", False)
    if page.sender:
        update.assign("sender", page.sender)
    update.add(f"sessions_{page.action}", {page.session})
    update.add(f"accepted_{page.action}", 1)
    update.add(f"checksum_{page.action}", checksum(page.name))
    tally = Tally(registration.skipped)
    for attribute, number in tally_counts(page.action, tally).items():
        update.add(attribute, number)
    if placement.restarts:
        update.assign("restarts", placement.restarts)
        update.assign("since", registration.since)
    update.only_if_exists(not placement.opens)
    return update


def tally_counts(action: Action, tally: Tally) -> dict[str, int]:
    """The attributes of a sync in which a page's tally is added up."""
    counts = {f"{_skipped(action)}{reason}": n for reason, n in tally.skipped.items()}
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


def called_update(key: CohortKey, now_ms: int, gap_ms: int) -> Update:
    """The cohort in the index, which it never leaves by itself."""
    called = Update(COHORTS, cohort_pk(key)[2:])
    called.assign("project", key.project)
    called.assign("cohort", key.cohort)
    called.assign("called_at", now_ms)
    called.assign("gap", gap_ms)
    called.add("syncs", 1)
    return called


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


def head_update(
    cohort: Cohort, registration: Registration, sync: Sync | None
) -> Update | None:
    """What a page changes at the cohort itself, if anything."""
    key, page, name = registration.key, registration.page, registration.name
    placement = registration.placement
    changed: dict[str, Any] = {}
    if name not in {"", cohort.name}:
        changed["name"] = name
    if not cohort.first_name:
        # Without a name the id stands in, as it does in an attribute.
        changed["first_name"] = name or cohort.name or f"mixpanel_{key.cohort}"
    if shows_empty_calls(page) and not cohort.sends_empty:
        changed["sends_empty"] = True
    if sync and not cohort.shares_sessions and shows_shared_session(sync, page):
        changed["shares_sessions"] = True
    if placement.opens:
        changed |= {"newest": placement.seq, "revision": cohort.revision + 1}
        changed |= {} if cohort.first else {"first": placement.seq}
        if gaps := gaps_at(cohort, placement.seq):
            changed["gaps"] = " ".join(map(str, gaps))
        if page.sender:
            changed[f"{SENDER}{page.sender}"] = placement.seq
    if not changed:
        return None
    head = Update(cohort_pk(key), "HEAD")
    for attribute, value in changed.items():
        head.assign(attribute, value)
    if placement.opens:
        head.add("open", {placement.seq})
        only_as_read(head, cohort)
    return head


def gaps_at(cohort: Cohort, seq: int) -> tuple[int, ...]:
    """The gaps between the syncs of a cohort once sync `seq` is opened."""
    return with_gap(cohort.gaps, seq - cohort.newest if cohort.newest else 0)


def page_of(message: PageMessage) -> Update:
    """The page item that a message points to."""
    sk = page_sk(message.seq, message.action, message.page)
    return Update(cohort_pk(message.key), sk)


def only_as_read(head: Update, cohort: Cohort) -> None:
    """Only if nobody has written the cohort since it was read."""
    if cohort.revision:
        head.only_if_equal("revision", cohort.revision)
    else:
        head.only_without("revision")


def cohort_pk(key: CohortKey) -> str:
    """Partition of a cohort's syncs and pages."""
    return f"C#{key.place}"


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


def sync_sk(seq: int) -> str:
    """Sort key of a sync."""
    return f"S#{seq:015d}"


def page_sk(seq: int, action: Action, page: str) -> str:
    """Sort key of a page."""
    return f"P#{seq:015d}#{action}#{page}"


def progress_sk(message: PageMessage) -> str:
    """Sort key of a page's progress: not every message has a page item."""
    return f"A{page_sk(message.seq, message.action, message.page)[1:]}"


def numbers(values: Any) -> frozenset[int]:
    """A set of numbers as DynamoDB gives it."""
    return frozenset(map(int, values or ()))


def read_sync(item: Item) -> Sync:
    """A sync from its item."""
    return Sync(
        seq=int(item["sk"][2:]),
        full=item["full"],
        last_page_at=int(item["last_page_at"]),
        sessions={
            action: frozenset(item[f"sessions_{action}"])
            for action in Action
            if f"sessions_{action}" in item
        },
        totals={a: int(item[f"total_{a}"]) for a in Action if f"total_{a}" in item},
        accepted={
            action: Pages(
                int(item[f"accepted_{action}"]), int(item[f"checksum_{action}"])
            )
            for action in Action
            if f"accepted_{action}" in item
        },
        processed=int(item.get("processed", 0)),
        skipped={action: _numbers_of(item, _skipped(action)) for action in Action},
        rejected=_numbers_of(item, REJECTED),
        listed=int(item.get("listed", 0)),
        already_in=int(item.get("already_in", 0)),
        repeats=numbers(item.get("repeats")),
        restarts=int(item.get("restarts", 0)),
        since=int(item.get("since", 0)),
        is_suspect=item.get("is_suspect", False),
        aborted=item.get("aborted", False),
        infers=item.get("infers", True),
        sender=item.get("sender", ""),
    )


def _skipped(action: Action) -> str:
    return f"skipped_{action}_"


def _numbers_of(item: Item, prefix: str) -> dict[str, int]:
    """The attributes that begin with a prefix, without it."""
    return {
        name.removeprefix(prefix): int(value)
        for name, value in item.items()
        if name.startswith(prefix)
    }


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


def read_page(item: Item) -> RegisteredPage:
    """A page from its item."""
    _, _, action, name = item["sk"].split("#", 3)
    total = None if "total" not in item else int(item["total"])
    return RegisteredPage(
        Action(action),
        name,
        item["digest"],
        total,
        int(item["at"]),
        sent=bool(item.get("sent")),
        processed=bool(item.get("processed")),
    )


def read_cohort(head: Item, syncs: tuple[Sync, ...]) -> Cohort:
    """A cohort from its item, which may be empty."""
    return Cohort(
        first=int(head.get("first", 0)),
        newest=int(head.get("newest", 0)),
        baseline=int(head.get("baseline", 0)),
        measuring=int(head.get("measuring", 0)),
        held_removal=int(head.get("held_removal", 0)),
        mislabelled=int(head.get("mislabelled", 0)),
        revision=int(head.get("revision", 0)),
        name=head.get("name", ""),
        first_name=head.get("first_name", ""),
        destination=head.get("destination", ""),
        published_name=head.get("published_name", ""),
        syncs=syncs,
        aborted=numbers(head.get("aborted")),
        has_index=bool(head.get("has_index", False)),
        sends_empty=bool(head.get("sends_empty", False)),
        shares_sessions=bool(head.get("shares_sessions", False)),
        gaps=tuple(map(int, head.get("gaps", "").split())),
        senders=_numbers_of(head, SENDER),
        counts=_numbers_of(head, COUNT),
        counted=int(head.get("counted", 0)),
        skipped={name: int(n) for name, n in head.get("skipped", {}).items()},
        rejected_in=int(head.get("rejected_in", 0)),
    )
