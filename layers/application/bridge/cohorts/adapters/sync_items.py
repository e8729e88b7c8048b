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
O#project#cohort            time#part               whom an open push names
J#project#cohort            identifier              why and when Braze rejected a member
BRAKE                       path                    until when Braze must not be called
"""

from typing import Any

from bridge.aws.dynamodb import Item, Update
from bridge.cohorts.messages import CohortKey, PageMessage
from bridge.cohorts.ports.page_log import Registration
from bridge.cohorts.rules.gaps import with_gap
from bridge.cohorts.rules.model import Cohort, Pages, RegisteredPage, Sync, checksum
from bridge.cohorts.rules.placement import (
    shows_empty_calls,
    shows_shared_session,
)
from bridge.mixpanel.cohort_webhook import Action

COHORTS = "COHORTS"
"""Partition of the index of cohorts; a project has sixty at most."""

SENDER = "sender_"
"""Begins the attributes of a cohort that hold the newest sync of each connection."""

COUNT = "count_"
"""Begins the attributes of a cohort that hold the counts of its members."""

RETENTION_SECONDS = 30 * 86_400
"""How long syncs, pages, and members who are confirmed out are kept."""

REJECTED = "rejected_"
"""Begins the attributes of a sync that count whom Braze rejected, by reason."""


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
    for reason, number in registration.skipped.items():
        update.add(f"{skipped_by(page.action)}{reason}", number)
    if placement.restarts:
        update.assign("restarts", placement.restarts)
        update.assign("since", registration.since)
    update.only_if_exists(not placement.opens)
    return update


def called_update(key: CohortKey, now_ms: int, gap_ms: int) -> Update:
    """The cohort in the index, which it never leaves by itself."""
    called = Update(COHORTS, cohort_pk(key)[2:])
    called.assign("project", key.project)
    called.assign("cohort", key.cohort)
    called.assign("called_at", now_ms)
    called.assign("gap", gap_ms)
    called.add("syncs", 1)
    return called


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


def sync_sk(seq: int) -> str:
    """Sort key of a sync."""
    return f"S#{seq:015d}"


def page_sk(seq: int, action: Action, page: str) -> str:
    """Sort key of a page."""
    return f"P#{seq:015d}#{action}#{page}"


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
        skipped={action: _numbers_of(item, skipped_by(action)) for action in Action},
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


def skipped_by(action: Action) -> str:
    """Begins the attributes of a sync that count who was skipped, by reason."""
    return f"skipped_{action}_"


def _numbers_of(item: Item, prefix: str) -> dict[str, int]:
    """The attributes that begin with a prefix, without it."""
    return {
        name.removeprefix(prefix): int(value)
        for name, value in item.items()
        if name.startswith(prefix)
    }


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
