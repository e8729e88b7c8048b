"""A-size, A-flood and A-noop: the door of the cohort flow over the wire."""

import json
import math
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import requests

from bridge.cohorts.messages import CohortKey
from sandbox.braze.currents import CurrentsSource
from sandbox.cloud import Cloud
from sandbox.http_api import server as http_api
from sandbox.http_api.server import BODY_LIMIT
from sandbox.lambda_runtime.invocation import SYNCHRONOUS_PAYLOAD_LIMIT
from sandbox.mixpanel import NAMED_DIALECTS
from tests.system.accounts import accounts, cohorts_in_ledger, quarantine, waiting
from tests.system.claims import record_claim
from tests.system.syncs import AT_ONCE, begin, members_at_braze

QUICK_SIZES, SIZES = 20, 300
QUICK_FLOOD, FLOOD = 400, 10_000
QUICK_PAGES, PAGES = 20, 200
QUICK_EVENTS, EVENTS = 3_000, 100_000
LARGEST = 6_500_000
AT_THE_LIMIT = (6_000_000, 6_285_000, 6_292_000, BODY_LIMIT, BODY_LIMIT + 1)
numbers = count(1)


@pytest.fixture(scope="module")
def own_cloud(built: Path) -> Iterator[Cloud]:
    with Cloud(built, parameters=AT_ONCE) as running:
        yield running


def body_of_size(size: int, cohort: str) -> bytes:
    """A call of exactly so many bytes; too short a one is cut and no call at all."""
    parameters = {
        "mixpanel_project_id": "1",
        "mixpanel_cohort_id": cohort,
        "mixpanel_cohort_name": "Trial",
        "mixpanel_session_id": "s",
        "page_info": {"total_pages": 1, "page_count": 1},
        "members": [{"mixpanel_distinct_id": "size-1", "$bio": ""}],
    }
    whole = json.dumps({"action": "members", "parameters": parameters}).encode()
    if size < len(whole):
        return whole[:size]
    bio = b"x" * (size - len(whole))
    return whole.replace(b'"$bio": ""', b'"$bio": "' + bio + b'"')


def sizes(cloud: Cloud, number: int) -> None:
    braze: Any = cloud.braze
    braze.workspace.add_user(external_id="size-1")
    description = cloud.description
    session = requests.Session()
    session.trust_env = False
    session.auth = (description["webhook_username"], description["webhook_password"])
    logarithmic = number - len(AT_THE_LIMIT)
    steps = [
        round(math.exp(math.log(LARGEST) * step / (logarithmic - 1)))
        for step in range(logarithmic)
    ]
    statuses: dict[int, int] = {}
    answers: dict[int, Any] = {}
    cohorts = {}
    bodies = set()
    for size in [*steps, *AT_THE_LIMIT]:
        cohort = f"size-{size}-{next(numbers)}"
        body = body_of_size(size, cohort)
        response = session.post(
            description["webhook_url"],
            data=body,
            headers={"content-type": "application/json"},
            timeout=60,
        )
        statuses[size], answers[size] = response.status_code, response.json()
        if response.status_code == 200:
            cohorts[size] = cohort
        elif response.status_code == 400:
            bodies.add(body)
    cloud.drain(120)
    keys = [CohortKey(project="1", cohort=cohort) for cohort in cohorts.values()]
    ledger = accounts(cloud, keys)
    lost = [
        size
        for size, cohort in cohorts.items()
        if ledger[cohort].accepted != ledger[cohort].processed
        or not ledger[cohort].accepted
        or braze.workspace.cohort_members("mixpanel_cohorts", f"mixpanel_{cohort}")
        != {"size-1"}
    ]
    quarantined = {item.original for item in quarantine(cloud)}
    too_large = sorted(size for size, status in statuses.items() if status == 413)
    largest = max(cohorts)
    counts = ", ".join(f"{n} x {s}" for s, n in Counter(statuses.values()).items())
    record_claim(
        row="A-size",
        size=f"{len(statuses)} bodies of 1 B to {LARGEST} B, and {BODY_LIMIT} + 1",
        faults="none",
        claim="0 lost; over the 6 MB of a Lambda event or the 10 MB of the API: 413",
        result=f"{len(lost)} lost, {len(bodies - quarantined)} not in quarantine; "
        f"{counts}; largest taken {largest}, smallest 413 {too_large[0]}",
    )
    assert lost == []
    assert bodies <= quarantined
    assert set(statuses.values()) == {200, 400, 413}
    assert all(answers[s] == {"message": "Request Entity Too Large"} for s in too_large)
    # The event is the body with its quotation marks escaped, and the headers.
    assert largest < SYNCHRONOUS_PAYLOAD_LIMIT < too_large[0] + 4_000
    assert [statuses[size] for size in AT_THE_LIMIT] == [200, 200, 413, 413, 413]


SCALE = 30
"""The gateway's limits are divided by this, so that two cores can go beyond them."""

BEYOND = (2, 5)
"""Strangers at each door, as multiples of what its route lets pass."""


class Scaled(http_api._Throttle):
    """A route's throttle, scaled down."""

    def __init__(self, rate: float | None, burst: int) -> None:
        super().__init__(rate and rate / SCALE, max(1, burst // SCALE))


@dataclass(frozen=True)
class Knock:
    """How a stranger calls a door: with or without the stack's own path."""

    door: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b"{}"

    @property
    def is_known(self) -> bool:
        return self.door.startswith("known")


def knocks(cloud: Cloud) -> list[Knock]:
    """At each door without the path; with it at all but the sync's own."""
    description = cloud.description
    host = description["api_url"].rpartition("/")[0]
    login = {"authorization": "Basic eDp5"}
    keys = json.dumps({"partner_api_key": "wrong", "client_secret": "wrong"}).encode()
    users = "partners/mixpanel/cohorts/users"
    return [
        Knock("/cohorts", f"{host}/cohorts", login, body_of_size(400, "stranger")),
        Knock("/partners", f"{host}/{users}", {}, keys),
        Knock("/currents", f"{host}/currents", {"authorization": "Bearer x"}),
        Knock("/", f"{host}/51af3dc0/cohorts", login),
        Knock("known /partners", f"{description['api_url']}/{users}", {}, keys),
        Knock(
            "known /currents",
            description["currents_url"],
            {"authorization": "Bearer x"},
        ),
    ]


class Flood:
    """Strangers at every door, at a steady rate each, until `stop`."""

    def __init__(self, cloud: Cloud, rate: float, limit: int) -> None:
        self.statuses: dict[str, Counter[int]] = {}
        self._pause, self._limit, self._stopped = 1 / rate, limit, threading.Event()
        self._threads = [
            threading.Thread(target=self._knock, args=(each,)) for each in knocks(cloud)
        ]

    def _knock(self, knock: Knock) -> None:
        statuses = self.statuses.setdefault(knock.door, Counter())
        session = requests.Session()
        session.trust_env = False
        due = time.monotonic()
        while not self._stopped.is_set() and statuses.total() < self._limit:
            answer = session.post(
                knock.url, data=knock.body, headers=knock.headers, timeout=60
            )
            statuses[answer.status_code] += 1
            due += self._pause
            self._stopped.wait(max(0.0, due - time.monotonic()))

    def __enter__(self) -> "Flood":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    @property
    def total(self) -> Counter[int]:
        return sum(self.statuses.values(), Counter())


def flood(
    built: Path, monkeypatch: pytest.MonkeyPatch, times: int, limit: int, pages: int
) -> None:
    """A sync and a stream go on while strangers call every door beyond its limit."""
    monkeypatch.setattr(http_api, "_Throttle", Scaled)
    with Cloud(built, parameters=AT_ONCE) as cloud:
        flood_of(cloud, times, limit, pages)


def flood_of(cloud: Cloud, times: int, limit: int, pages: int) -> None:
    braze: Any = cloud.braze
    mixpanel: Any = cloud.mixpanel
    people = [f"f{next(numbers)}-{n}" for n in range(5 * pages)]
    for person in people:
        braze.workspace.add_user(external_id=person)
    history = begin(
        cloud,
        f"{next(numbers)}",
        NAMED_DIALECTS["documented"],
        people,
        page_size=5,
        patience=0.1,
    )
    history.cohort.members = {person: {} for person in people}
    source = CurrentsSource(people[:2], int(time.time()) - 7200)
    session = requests.Session()
    session.trust_env = False
    token = {"authorization": f"Bearer {cloud.description['currents_token']}"}
    events, waiting_for = 0, [source.event() for _ in range(10 * pages)]
    with Flood(cloud, rate=times * 300 / SCALE, limit=limit) as strangers:
        result = history.run()
        for start in range(0, len(waiting_for), 100):
            body = json.dumps({"events": waiting_for[start : start + 100]})
            for _ in range(200):
                answer = session.post(
                    cloud.description["currents_url"],
                    data=body,
                    headers=token,
                    timeout=60,
                )
                if answer.status_code == 200:
                    events += answer.json()["events"]
                    break
                # Braze tries again for days.
                time.sleep(0.05)
    cloud.drain(300)
    key = CohortKey(project=history.cohort.project_id, cohort=history.cohort.id)
    account = accounts(cloud, [key])[key.cohort]
    lost = len(set(history.network.accepted) - account.registered)
    lost += len(account.accepted - account.processed)
    delivered = len(mixpanel.visible())
    unknown = sum(
        (each for door, each in strangers.statuses.items() if "known" not in door),
        Counter[int](),
    )
    record_claim(
        row=f"A-flood, {times} times the limit",
        size=f"{strangers.total.total()} calls of strangers at "
        f"{len(strangers.statuses)} doors, a sync of {pages} pages, "
        f"{len(waiting_for)} events",
        faults=f"{times * 300 / SCALE:.0f} a second at each door, limits of "
        f"{300 / SCALE:.0f}",
        claim="the sync completes, 0 pages and 0 events lost, 0 strangers accepted; "
        "whoever does not know the path reaches no function",
        result=f"{'complete' if result.success else 'broken off'}, {lost} pages and "
        f"{len(waiting_for) - delivered} events lost; without the path "
        + ", ".join(f"{n} x {s}" for s, n in sorted(unknown.items()))
        + "; all "
        + ", ".join(f"{n} x {s}" for s, n in sorted(strangers.total.items())),
    )
    assert result.success
    assert members_at_braze(cloud, history.cohort) == set(people)
    assert (lost, events, delivered) == (0, len(waiting_for), len(waiting_for))
    assert set(unknown) == {404}
    assert set(strangers.total) <= {401, 404, 429, 503}
    assert "stranger" not in cohorts_in_ledger(cloud)


def nothing_in_vain(cloud: Cloud, events: int) -> None:
    """A first sync and differences, without faults; then the stand-in's counters."""
    braze: Any = cloud.braze
    page_size, share = 1000, 3
    people = [f"n{next(numbers)}-{n}" for n in range(events // 2)]
    for person in people:
        braze.workspace.add_user(external_id=person)
    history = begin(
        cloud,
        f"{next(numbers)}",
        NAMED_DIALECTS["documented"],
        people,
        page_size=page_size,
    )
    noops = braze.workspace.noop_writes
    calls = braze.workspace.calls["/users/track"]
    points = braze.workspace.data_points
    members = people[: 2 * len(people) // share]
    while True:
        history.cohort.members = {person: {} for person in members}
        assert history.run().success
        if sum(len(page.members) for page in history.network.accepted) >= events:
            break
        # A sixth leaves, as many others join.
        outside = sorted(set(people) - set(members))
        members = members[len(people) // 6 :] + outside[: len(people) // 6]
    cloud.drain(600)
    sent = sum(len(page.members) for page in history.network.accepted)
    expected = sum(math.ceil(len(p.members) / 75) for p in history.network.accepted)
    noops = braze.workspace.noop_writes - noops
    calls = braze.workspace.calls["/users/track"] - calls
    points = braze.workspace.data_points - points
    record_claim(
        row="A-noop",
        size=f"{sent} member events on {len(history.network.accepted)} pages of up to "
        f"{page_size}",
        faults="none",
        claim="0 no-op ids sent, calls = ceil(changes / 75) per page",
        result=f"{noops} no-ops, {points} data points, {calls} calls of {expected}",
    )
    assert members_at_braze(cloud, history.cohort) == set(members)
    assert (noops, calls, points) == (0, expected, sent)
    assert waiting(cloud) == 0


def test_a_size(own_cloud: Cloud) -> None:
    sizes(own_cloud, QUICK_SIZES)


def test_a_flood(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flood(built, monkeypatch, BEYOND[0], QUICK_FLOOD, QUICK_PAGES)


def test_a_noop(own_cloud: Cloud) -> None:
    nothing_in_vain(own_cloud, QUICK_EVENTS)


@pytest.mark.soak
def test_a_size_at_full_size(own_cloud: Cloud) -> None:
    sizes(own_cloud, SIZES)


@pytest.mark.soak
@pytest.mark.parametrize("times", BEYOND)
def test_a_flood_at_full_size(
    built: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    flood(built, monkeypatch, times, FLOOD, PAGES)


@pytest.mark.soak
def test_a_noop_at_full_size(own_cloud: Cloud) -> None:
    nothing_in_vain(own_cloud, EVENTS)
