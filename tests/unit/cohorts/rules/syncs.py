"""Pages, syncs and cohorts for the tests of the rules."""

from dataclasses import replace
from functools import reduce

from bridge.cohorts.rules.model import Cohort, Page, Pages, Sync
from bridge.mixpanel.cohort_webhook import Action

FULL, ADD, REMOVE = Action.FULL, Action.ADD, Action.REMOVE


NOW = 1_000_000_000


def page(
    action: Action = ADD,
    number: int | None = 1,
    total: int | None = 1,
    session: str = "s1",
    digest: str = "d",
) -> Page:
    return Page(session, action, number, total, digest, empty=False)


def sync(
    seq: int,
    totals: dict[Action, int],
    accepted: dict[Action, set[int]],
    *,
    processed: bool = True,
    repeats: set[int] | None = None,
    session: str = "s1",
) -> Sync:
    pages = {
        action: reduce(Pages.plus, map(str, numbers), Pages())
        for action, numbers in accepted.items()
    }
    return Sync(
        seq=seq,
        full=FULL in accepted,
        last_page_at=NOW,
        sessions={action: frozenset({session}) for action in accepted},
        totals=totals,
        accepted=pages,
        processed=sum(map(len, accepted.values())) if processed else 0,
        repeats=frozenset(repeats or ()),
    )


def full(seq: int, pages: int = 1, accepted: set[int] | None = None) -> Sync:
    return sync(seq, {FULL: pages}, {FULL: accepted or set(range(1, pages + 1))})


def diff(seq: int, **options: object) -> Sync:
    made = sync(seq, {ADD: 1, REMOVE: 1}, {ADD: {1}, REMOVE: {1}})
    return replace(made, **options)  # type: ignore[arg-type]


def cohort(*syncs: Sync, newest: int | None = None, **options: object) -> Cohort:
    last = newest if newest is not None else (syncs[-1].seq if syncs else 0)
    return replace(Cohort(newest=last, syncs=syncs), **options)  # type: ignore[arg-type]
