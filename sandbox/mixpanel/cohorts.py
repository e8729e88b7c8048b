"""What Mixpanel says in a cohort sync, and in which dialect (pure).

Source: Mixpanel docs, "Cohort Sync: Webhooks". Every point that the docs leave open is
a switch of the dialect; a model can use `plan` without a network.
"""

import random
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

PAGE_SIZE = 1000

type Reaction = Literal["accept", "retry", "abort", "pause"]
"""Go on; try this page again; give the sync up until the next; until a person acts."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a sender behaves where the docs are silent or contradict themselves."""

    first_sync: Literal["members", "add_members"] = "members"
    page_info: bool = True
    shared_session: bool = True
    """Adds and removals of one sync have one session id, or one each."""
    reuse_session: bool = False
    """A sync that starts again after a failure keeps the ids of the failed one."""
    common_total: bool = False
    """Adds and removals number their pages through one count."""
    shuffled: bool = False
    parallel: int = 1
    """So many pages are under way at a time."""
    repeat_pages: bool = False
    """Some pages come again later in the same sync."""
    numeric_ids: bool = False
    send_empty: bool = True
    description: bool = True
    integration_id: bool = False
    raw_names: bool = False
    """Exported properties by their own names in place of the default four."""
    members_beside: bool = False
    """`members` stands beside `parameters`, as one relayed capture shows it."""
    resume_full: bool = False
    """What a person resumes begins with everybody."""
    on_failure_body: Reaction = "abort"
    """To 200 with `failure`, or with a body that is no JSON."""
    on_no_answer: Reaction = "retry"
    on_other_status: Reaction = "abort"
    """To a status that is not 200, 400, 401, 403, 404, 429 or 5xx."""


NAMED_DIALECTS: Mapping[str, Dialect] = {
    "documented": Dialect(),
    "scenario": Dialect(first_sync="add_members"),
    "captured": Dialect(
        page_info=False, description=False, integration_id=True, raw_names=True
    ),
    "own sessions": Dialect(shared_session=False),
    "reused session": Dialect(reuse_session=True),
    "own sessions, reused": Dialect(shared_session=False, reuse_session=True),
    "common total": Dialect(common_total=True),
    "shuffled": Dialect(shuffled=True),
    "shuffled, common total": Dialect(shuffled=True, common_total=True),
    "parallel": Dialect(parallel=4),
    "numeric ids": Dialect(numeric_ids=True),
    "empty calls left out": Dialect(send_empty=False),
    "repeated pages": Dialect(repeat_pages=True),
    "repeated pages, shuffled": Dialect(repeat_pages=True, shuffled=True),
    "reused session, shuffled": Dialect(reuse_session=True, shuffled=True),
    "add_members, own sessions": Dialect(
        first_sync="add_members", shared_session=False
    ),
    "relayed": Dialect(members_beside=True, description=False),
}


@dataclass(slots=True)
class Cohort:
    """A cohort in Mixpanel: members are distinct id → profile properties."""

    id: str
    name: str
    members: dict[str, dict[str, Any]] = field(default_factory=dict)
    project_id: str = "2195193"
    description: str = "Made up, for campaigns"


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """One page: action, number and total, session and the members' distinct ids."""

    action: str
    page: int
    total: int
    session: str
    members: tuple[str, ...]


class Sessions:
    """Session ids, one for each export of a sync, in the order they are asked for."""

    def __init__(self, rng: random.Random, *, reuse: bool) -> None:
        self._rng = rng
        self._reuse = reuse
        self._ids: list[str] = []
        self._asked = 0

    def begin(self, *, after_failure: bool) -> None:
        """A sync begins; after one that failed, its ids may be reused."""
        self._asked = 0
        if not (after_failure and self._reuse):
            self._ids.clear()

    def __call__(self) -> str:
        """The id of the sync's next export."""
        if self._asked == len(self._ids):
            made = uuid.UUID(int=self._rng.getrandbits(128), version=4)
            self._ids.append(str(made))
        self._asked += 1
        return self._ids[self._asked - 1]


def plan(
    members: Sequence[str],
    snapshot: frozenset[str] | None,
    dialect: Dialect,
    rng: random.Random,
    sessions: Callable[[], str],
    page_size: int = PAGE_SIZE,
) -> list[PlannedCall]:
    """The calls of one sync, in the order of sending.

    `snapshot` is the membership at the last success that is still good, or None;
    `sessions` gives an id for each export.
    """
    if snapshot is None and dialect.first_sync == "members":
        calls = _pages("members", sorted(members), sessions(), page_size)
    else:
        before, now = snapshot or frozenset(), frozenset(members)
        added, removed = sorted(now - before), sorted(before - now)
        one = sessions()
        other = one if dialect.shared_session else sessions()
        adds = _pages("add_members", added, one, page_size)
        removes = _pages("remove_members", removed, other, page_size)
        if not dialect.send_empty:
            adds = adds if added else []
            removes = removes if removed else []
        calls = _together(adds, removes) if dialect.common_total else adds + removes
    if dialect.shuffled:
        rng.shuffle(calls)
    return _repeated(calls, rng) if dialect.repeat_pages else calls


def _pages(
    action: str, members: Sequence[str], session: str, size: int
) -> list[PlannedCall]:
    pages = [members[at : at + size] for at in range(0, len(members), size)] or [()]
    return [
        PlannedCall(action, number, len(pages), session, tuple(page))
        for number, page in enumerate(pages, 1)
    ]


def _together(adds: list[PlannedCall], removes: list[PlannedCall]) -> list[PlannedCall]:
    calls = adds + removes
    return [
        replace(call, page=number, total=len(calls))
        for number, call in enumerate(calls, 1)
    ]


def _repeated(calls: list[PlannedCall], rng: random.Random) -> list[PlannedCall]:
    """Every third page, about, a second time somewhere behind the first."""
    repeated = list(calls)
    for call in calls:
        if rng.random() < 1 / 3:
            first = repeated.index(call)
            repeated.insert(rng.randint(first + 1, len(repeated)), call)
    return repeated


def body_of(call: PlannedCall, cohort: Cohort, dialect: Dialect) -> dict[str, Any]:
    """One call as JSON."""
    numbers = dialect.numeric_ids
    members = [
        _member(each, cohort.members.get(each, {}), dialect) for each in call.members
    ]
    parameters: dict[str, Any] = {
        "mixpanel_project_id": int(cohort.project_id) if numbers else cohort.project_id,
        "mixpanel_cohort_id": int(cohort.id) if numbers else cohort.id,
        "mixpanel_cohort_name": cohort.name,
        "mixpanel_session_id": call.session,
    }
    if dialect.description:
        parameters["mixpanel_cohort_description"] = cohort.description
    if dialect.integration_id:
        parameters["mixpanel_integration_id"] = "0"
    if dialect.page_info:
        info = {"total_pages": call.total, "page_count": call.page}
        parameters["page_info"] = info
    if dialect.members_beside:
        return {"action": call.action, "parameters": parameters, "members": members}
    return {"action": call.action, "parameters": parameters | {"members": members}}


def _member(
    distinct_id: str, profile: Mapping[str, Any], dialect: Dialect
) -> dict[str, Any]:
    if dialect.raw_names:
        raw = {"mixpanel_distinct_id": distinct_id, "$distinct_id": distinct_id}
        return raw | dict(profile)
    default = {
        "mixpanel_distinct_id": distinct_id,
        "email": f"{distinct_id}@example.com",
        "first_name": "Ada",
        "last_name": "Example",
    }
    return default | dict(profile)
