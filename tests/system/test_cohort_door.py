"""A-size, A-flood and A-noop: the door of the cohort flow over the wire."""

import json
import math
import threading
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import requests

from bridge.cohorts.messages import CohortKey
from sandbox.cloud import Cloud
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


def flood(cloud: Cloud, strangers: int, pages: int) -> None:
    """Four strangers call as fast as they are answered, while a sync runs."""
    braze: Any = cloud.braze
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
    calls = count()
    statuses: Counter[int] = Counter()
    lock = threading.Lock()

    def stranger(number: int) -> None:
        session = requests.Session()
        session.trust_env = False
        if number % 2:
            session.auth = (cloud.description["webhook_username"], f"wrong-{number}")
        body = body_of_size(400, "stranger")
        while next(calls) < strangers:
            status = session.post(
                cloud.description["webhook_url"], data=body, timeout=60
            ).status_code
            with lock:
                statuses[status] += 1

    threads = [threading.Thread(target=stranger, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    result = history.run()
    finished_first = any(thread.is_alive() for thread in threads)
    for thread in threads:
        thread.join()
    cloud.drain(300)
    key = CohortKey(project=history.cohort.project_id, cohort=history.cohort.id)
    account = accounts(cloud, [key])[key.cohort]
    lost = len(set(history.network.accepted) - account.registered)
    lost += len(account.accepted - account.processed)
    accepted = statuses.total() - statuses[401] - statuses[429] - statuses[503]
    record_claim(
        row="A-flood",
        size=f"{statuses.total()} calls of strangers, a sync of {pages} pages",
        faults="half without, half with a wrong password; 4 at a time, no pause",
        claim="the sync completes, 0 pages lost, 0 strangers accepted",
        result=f"{'complete' if result.success else 'broken off'}"
        f"{', before the flood ended' if finished_first else ''}, {lost} lost, "
        f"{accepted} accepted; "
        + ", ".join(f"{n} x {s}" for s, n in sorted(statuses.items())),
    )
    assert result.success
    assert members_at_braze(cloud, history.cohort) == set(people)
    assert (lost, accepted) == (0, 0)
    assert statuses[401] > 0
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


def test_a_flood(own_cloud: Cloud) -> None:
    flood(own_cloud, QUICK_FLOOD, QUICK_PAGES)


def test_a_noop(own_cloud: Cloud) -> None:
    nothing_in_vain(own_cloud, QUICK_EVENTS)


@pytest.mark.soak
def test_a_size_at_full_size(own_cloud: Cloud) -> None:
    sizes(own_cloud, SIZES)


@pytest.mark.soak
def test_a_flood_at_full_size(own_cloud: Cloud) -> None:
    flood(own_cloud, FLOOD, PAGES)


@pytest.mark.soak
def test_a_noop_at_full_size(own_cloud: Cloud) -> None:
    nothing_in_vain(own_cloud, EVENTS)
