"""Mixpanel as the sender of cohort syncs: what it says, in which dialect, and when.

Source: Mixpanel docs, "Cohort Sync: Webhooks". `plan` is pure, so that a model can use
it without a network; `CohortSync` sends what it plans and keeps the snapshot. Every
point that the docs leave open is a switch of the dialect.
"""

import random
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import requests

PAGE_SIZE = 1000
SNAPSHOT_SECONDS = 3 * 86_400
RETRIES = 5
PAUSING = frozenset({400, 401, 403, 404})
FIRST_RETRY = 2.0


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a sender behaves where the docs are silent or contradict themselves."""

    first_sync: str = "members"
    page_info: bool = True
    shared_session: bool = True
    reuse_session: bool = False
    common_total: bool = False
    shuffled: bool = False
    numeric_ids: bool = False
    send_empty: bool = True
    description: bool = True
    integration_id: bool = False
    raw_names: bool = False
    repeat_pages: bool = False


NAMED_DIALECTS: Mapping[str, Dialect] = {
    "documented": Dialect(),
    "scenario": Dialect(first_sync="add_members"),
    "captured": Dialect(
        page_info=False, description=False, integration_id=True, raw_names=True
    ),
    "own sessions": Dialect(shared_session=False),
    "reused session": Dialect(reuse_session=True),
    "common total": Dialect(common_total=True),
    "shuffled": Dialect(shuffled=True),
    "shuffled, common total": Dialect(shuffled=True, common_total=True),
    "numeric ids": Dialect(numeric_ids=True),
    "empty calls left out": Dialect(send_empty=False),
    "repeated pages": Dialect(repeat_pages=True),
    "reused session, shuffled": Dialect(reuse_session=True, shuffled=True),
    "add_members, own sessions": Dialect(
        first_sync="add_members", shared_session=False
    ),
}


@dataclass(slots=True)
class Cohort:
    """A cohort in Mixpanel: members are distinct id → profile properties."""

    id: str
    name: str
    members: dict[str, dict[str, Any]] = field(default_factory=dict)
    project_id: str = "2195193"


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """One page: action, number and total, session and the members' distinct ids."""

    action: str
    page: int
    total: int
    session: str
    members: tuple[str, ...]


def plan(
    members: Sequence[str],
    snapshot: frozenset[str] | None,
    dialect: Dialect,
    rng: random.Random,
    sessions: Callable[[], str],
    page_size: int = PAGE_SIZE,
) -> list[PlannedCall]:
    """The calls of one sync, in the order of sending."""
    if snapshot is None and dialect.first_sync == "members":
        session = sessions()
        calls = _pages("members", sorted(members), session, page_size)
    else:
        before, now = snapshot or frozenset(), frozenset(members)
        added, removed = sorted(now - before), sorted(before - now)
        one = sessions()
        other = one if dialect.shared_session else sessions()
        adds = _pages("add_members", added, one, page_size)
        removes = _pages("remove_members", removed, other, page_size)
        calls = _together(adds, removes) if dialect.common_total else adds + removes
        if not dialect.send_empty:
            calls = [call for call in calls if call.members]
    if dialect.shuffled:
        rng.shuffle(calls)
    if dialect.repeat_pages:
        calls = [call for call in calls for _ in range(rng.choice((1, 1, 2)))]
    return calls


def _pages(
    action: str, members: Sequence[str], session: str, size: int
) -> list[PlannedCall]:
    pages = [members[at : at + size] for at in range(0, len(members), size)] or [()]
    return [
        PlannedCall(action, number, len(pages), session, tuple(page))
        for number, page in enumerate(pages, 1)
    ]


def _together(adds: list[PlannedCall], removes: list[PlannedCall]) -> list[PlannedCall]:
    """Both actions number their pages through one count."""
    calls = adds + removes
    return [
        replace(call, page=number, total=len(calls))
        for number, call in enumerate(calls, 1)
    ]


def body_of(call: PlannedCall, cohort: Cohort, dialect: Dialect) -> dict[str, Any]:
    """One call as JSON."""
    numbers = dialect.numeric_ids
    parameters: dict[str, Any] = {
        "mixpanel_project_id": int(cohort.project_id) if numbers else cohort.project_id,
        "mixpanel_cohort_id": int(cohort.id) if numbers else cohort.id,
        "mixpanel_cohort_name": cohort.name,
        "mixpanel_session_id": call.session,
        "members": [
            _member(each, cohort.members.get(each, {}), dialect)
            for each in call.members
        ],
    }
    if dialect.description:
        parameters["mixpanel_cohort_description"] = f"{cohort.name}, for campaigns"
    if dialect.integration_id:
        parameters["mixpanel_integration_id"] = "0"
    if dialect.page_info:
        info = {"total_pages": call.total, "page_count": call.page}
        parameters["page_info"] = info
    return {"action": call.action, "parameters": parameters}


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


@dataclass(frozen=True, slots=True)
class SyncResult:
    """What became of one sync; `message` is what the receiver said of a failure."""

    calls: int
    success: bool
    paused: bool = False
    message: str = ""


type Post = Callable[[dict[str, Any]], tuple[int, dict[str, Any]] | None]
"""Sends one call: status and JSON of the answer, or None where none came."""


class CohortSync:
    """A recurring sync of one cohort to one webhook.

    Raises nothing: what went wrong is in the result, as it is in Mixpanel's UI.
    """

    def __init__(
        self,
        cohort: Cohort,
        url: str = "",
        username: str = "",
        password: str = "",
        *,
        dialect: Dialect | None = None,
        page_size: int = PAGE_SIZE,
        post: Post | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
        rng: random.Random | None = None,
        progress: Callable[[PlannedCall], None] = lambda _: None,
    ) -> None:
        self.cohort = cohort
        self.dialect = dialect or Dialect()
        self.paused = False
        self.snapshot: frozenset[str] | None = None
        self._taken_at = 0.0
        self._post = post or _poster(url, username, password)
        self._page_size = page_size
        self._sleep = sleep
        self._clock = clock
        self._rng = rng or random.Random()  # noqa: S311 - orders pages
        self._progress = progress
        self._session = ""

    def run(self) -> SyncResult:
        """One scheduled sync: a full one, or the difference to the last success."""
        if self.paused:
            return SyncResult(0, success=False, paused=True)
        now = self._clock()
        if self.snapshot is not None and now - self._taken_at > SNAPSHOT_SECONDS:
            self.snapshot = None
        members = frozenset(self.cohort.members)
        calls = plan(
            sorted(members),
            self.snapshot,
            self.dialect,
            self._rng,
            self._new_session,
            self._page_size,
        )
        for number, call in enumerate(calls, 1):
            status, answer = self._send(body_of(call, self.cohort, self.dialect))
            if status != 200 or answer.get("status") != "success":
                self.paused = status in PAUSING
                message = str(answer.get("error", {}).get("message", ""))
                return SyncResult(number, False, self.paused, message)
            self._progress(call)
        self.snapshot, self._taken_at, self._session = members, now, ""
        return SyncResult(len(calls), success=True)

    def _new_session(self) -> str:
        """An id for an export; kept for the restart if the dialect reuses ids."""
        if self.dialect.reuse_session and self._session:
            return self._session
        self._session = str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
        return self._session

    def _send(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """One call with its retries; status 0 where no answer came at all."""
        status, answer = 0, dict[str, Any]()
        for attempt in range(RETRIES + 1):
            status, answer = self._post(body) or (0, {})
            if status and status != 429 and status < 500:
                break
            if attempt < RETRIES:
                self._sleep(FIRST_RETRY * 2**attempt)
        return status, answer


def _poster(url: str, username: str, password: str) -> Post:
    session = requests.Session()
    session.trust_env = False
    session.auth = (username, password)

    def post(body: dict[str, Any]) -> tuple[int, dict[str, Any]] | None:
        try:
            response = session.post(url, json=body, timeout=30)
        except requests.RequestException:
            return None
        try:
            answer = response.json()
        except ValueError:
            answer = {}
        return response.status_code, answer if isinstance(answer, dict) else {}

    return post
