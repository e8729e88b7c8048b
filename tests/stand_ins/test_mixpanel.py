"""The stand-in Mixpanel keeps to what Mixpanel documents, as receiver and as sender."""

import base64
import gzip
import json
import random
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
import requests

from sandbox.mixpanel import (
    NAMED_DIALECTS,
    Cohort,
    CohortSync,
    Dialect,
    MixpanelStandIn,
)
from sandbox.mixpanel.cohorts import SNAPSHOT_SECONDS, plan

NOW = 1_800_000_000.0
type Import = Callable[..., requests.Response]


@pytest.fixture
def mixpanel() -> Iterator[MixpanelStandIn]:
    with MixpanelStandIn(
        project_id="9",
        project_token="token",
        api_secret="secret",
        service_accounts={"bridge": "pass"},
        clock=lambda: NOW,
    ) as running:
        yield running


@pytest.fixture
def send(mixpanel: MixpanelStandIn) -> Import:
    def post(
        *events: Any, auth: str = "token:", query: str = "strict=1"
    ) -> requests.Response:
        credentials = base64.b64encode(auth.encode()).decode()
        return requests.post(
            f"{mixpanel.url}/import?{query}",
            data=gzip.compress(json.dumps(list(events)).encode()),
            headers={
                "authorization": f"Basic {credentials}",
                "content-type": "application/json",
                "content-encoding": "gzip",
            },
            timeout=5,
        )

    return post


def event(**changes: Any) -> dict[str, Any]:
    properties = {"time": int(NOW) - 9, "distinct_id": "u", "$insert_id": "id-1"}
    return {"event": "Email Open", "properties": properties | changes}


def test_valid_events_are_imported(mixpanel: MixpanelStandIn, send: Import) -> None:
    answer = send(event(), event(**{"$insert_id": "id-2"}))
    expected = {"code": 200, "num_records_imported": 2, "status": "OK"}
    assert (answer.status_code, answer.json()) == (200, expected)
    assert len(mixpanel.visible()) == 2


def test_copies_are_kept_and_one_of_them_is_shown(
    mixpanel: MixpanelStandIn, send: Import
) -> None:
    send(event(), event(color="red"), event(time=int(NOW) - 8))
    assert len(mixpanel.events) == 3
    shown = list(mixpanel.visible().values())
    assert [each["properties"].get("color") for each in shown] == ["red", None]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"time": None}, "properties.time"),
        ({"time": "soon"}, "properties.time"),
        ({"time": 3}, "properties.time"),
        ({"time": int(NOW) + 7200}, "properties.time"),
        ({"distinct_id": None}, "properties.distinct_id"),
        ({"distinct_id": "Anonymous"}, "properties.distinct_id"),
        ({"$insert_id": ""}, "$insert_id"),
        ({"$insert_id": "a" * 37}, "$insert_id"),
        ({"$insert_id": "a_b"}, "$insert_id"),
        ({f"p{n}": n for n in range(255)}, "properties"),
        ({"deep": [[[[[1]]]]]}, "properties.deep"),
    ],
)
def test_an_event_that_breaks_a_rule_is_reported_by_index(
    mixpanel: MixpanelStandIn, send: Import, change: dict[str, Any], field: str
) -> None:
    answer = send(event(), event(**{"$insert_id": "id-2"} | change))
    assert answer.status_code == 400
    assert answer.json()["num_records_imported"] == 1
    (failed,) = answer.json()["failed_records"]
    assert (failed["index"], failed["field"]) == (1, field)
    assert len(mixpanel.visible()) == 1


def test_a_time_within_the_next_hour_becomes_now(
    mixpanel: MixpanelStandIn, send: Import
) -> None:
    assert send(event(time=int(NOW) + 60)).status_code == 200
    ((_, _, time, _),) = mixpanel.visible()
    assert time == int(NOW)


def test_identity_events_fail_the_whole_request(
    mixpanel: MixpanelStandIn, send: Import
) -> None:
    answer = send(event(), {"event": "$identify", "properties": {}})
    assert answer.json()["num_records_imported"] == 0
    assert isinstance(answer.json()["failed_records"][0], str)
    assert not mixpanel.events


@pytest.mark.parametrize(
    ("auth", "query", "status"),
    [
        ("token:", "strict=1", 200),
        ("secret:", "strict=1", 200),
        ("bridge:pass", "strict=1&project_id=9", 200),
        ("bridge:pass", "strict=1", 401),
        ("bridge:wrong", "strict=1&project_id=9", 401),
        ("token:x", "strict=1", 401),
        ("other:", "strict=1", 401),
    ],
)
def test_credentials(send: Import, auth: str, query: str, status: int) -> None:
    assert send(event(), auth=auth, query=query).status_code == status


def test_limits(mixpanel: MixpanelStandIn, send: Import) -> None:
    assert send(*[event()] * 2001).status_code == 413
    mixpanel._max_body = 100
    assert send(event()).status_code == 413
    assert send().status_code == 400


def test_a_rate_limit_has_no_retry_after() -> None:
    with MixpanelStandIn(project_token="token", limit=1) as mixpanel:
        headers = {"authorization": "Basic " + base64.b64encode(b"token:").decode()}
        url = f"{mixpanel.url}/import"
        answers = [
            requests.post(url, json=[event()], headers=headers, timeout=5)
            for _ in range(2)
        ]
        assert answers[1].status_code == 429
        assert "retry-after" not in answers[1].headers


@pytest.mark.parametrize("kind", ["429", "500", "502", "503", "401", "413"])
def test_faults_on_demand(mixpanel: MixpanelStandIn, send: Import, kind: str) -> None:
    mixpanel.faults.plan(kind)
    assert send(event()).status_code == int(kind)
    assert send(event()).status_code == 200


# The sender


class Receiver:
    """Answers with a status from a list; then always 200."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.bodies: list[dict[str, Any]] = []

    def __call__(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]] | None:
        self.bodies.append(body)
        status = self.statuses.pop(0) if self.statuses else 200
        said = {"status": "success"} if status == 200 else {"error": {"message": "no"}}
        return (status, said) if status else None

    @property
    def said(self) -> list[tuple[str, int]]:
        return [(b["action"], len(b["parameters"]["members"])) for b in self.bodies]


def sync(receiver: Receiver, people: int = 3, **options: Any) -> CohortSync:
    members: dict[str, Any] = {f"u{n}": {} for n in range(people)}
    return CohortSync(
        Cohort("7", "Trial", members),
        post=receiver,
        sleep=lambda _: None,
        rng=random.Random(1),
        **options,
    )


def test_first_everybody_then_the_difference_even_if_empty() -> None:
    receiver = Receiver()
    sender = sync(receiver, people=2500)
    assert sender.run().success
    assert receiver.said == [("members", 1000), ("members", 1000), ("members", 500)]
    pages = [b["parameters"]["page_info"] for b in receiver.bodies]
    assert [p["page_count"] for p in pages] == [1, 2, 3]
    assert {p["total_pages"] for p in pages} == {3}
    receiver.bodies.clear()
    assert sender.run().success
    assert receiver.said == [("add_members", 0), ("remove_members", 0)]


@pytest.mark.parametrize("status", [0, 429, 500, 503])
def test_what_may_heal_is_retried_five_times_and_then_given_up(status: int) -> None:
    receiver = Receiver(*[status] * 5)
    assert sync(receiver).run().success
    receiver = Receiver(*[status] * 6)
    sender = sync(receiver)
    assert not sender.run().success
    assert sender.snapshot is None
    assert not sender.paused


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_what_a_person_must_mend_pauses_the_sync(status: int) -> None:
    sender = sync(Receiver(status))
    assert sender.run().paused
    assert sender.run().calls == 0


def test_a_snapshot_of_more_than_three_days_is_forgotten() -> None:
    receiver = Receiver()
    times = count(NOW, SNAPSHOT_SECONDS + 1)
    sender = sync(receiver, clock=lambda: next(times))
    sender.run()
    sender.run()
    assert [action for action, _ in receiver.said] == ["members", "members"]


@pytest.mark.parametrize("name", NAMED_DIALECTS)
def test_every_dialect_says_every_change_at_least_once(name: str) -> None:
    ids = count()
    calls = plan(
        [f"u{n}" for n in range(25)],
        frozenset(f"u{n}" for n in range(10, 40)),
        NAMED_DIALECTS[name],
        random.Random(1),
        lambda: f"s{next(ids)}",
        page_size=4,
    )
    said = {(call.action, member) for call in calls for member in call.members}
    added = {("add_members", f"u{n}") for n in range(10)}
    assert said == added | {("remove_members", f"u{n}") for n in range(25, 40)}


def test_a_dialect_that_reuses_ids_does_so_until_it_succeeds() -> None:
    receiver = Receiver(*[500] * 6)
    sender = sync(receiver, dialect=Dialect(reuse_session=True))
    for _ in range(3):
        sender.run()
    sessions = [b["parameters"]["mixpanel_session_id"] for b in receiver.bodies]
    assert len(set(sessions)) == 2
    assert sessions[0] == sessions[6] != sessions[7]
