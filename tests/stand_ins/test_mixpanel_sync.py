"""The stand-in Mixpanel as the sender of cohort syncs, in every dialect."""

import random
from collections.abc import Iterator
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
from sandbox.mixpanel.cohorts import PlannedCall, Sessions, plan
from sandbox.mixpanel.sync import PAUSES, SNAPSHOT_SECONDS
from sandbox.servers.web import Answer, Call, WebServer
from tests.stand_ins.calls import NOW, basic

type Said = list[tuple[str, int]]


class Receiver:
    """Answers with a status from a list, then always 200; 0 is no answer at all."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.bodies: list[dict[str, Any]] = []

    def __call__(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]] | None:
        self.bodies.append(body)
        status = self.statuses.pop(0) if self.statuses else 200
        said = {"status": "success"} if status == 200 else {"error": {"message": "no"}}
        return (status, said) if status else None

    @property
    def said(self) -> Said:
        return [(b["action"], len(b["parameters"]["members"])) for b in self.bodies]

    def sessions(self) -> list[str]:
        return [body["parameters"]["mixpanel_session_id"] for body in self.bodies]


def sync(receiver: Any, people: int = 3, **options: Any) -> CohortSync:
    members: dict[str, Any] = {f"u{n}": {} for n in range(people)}
    options.setdefault("sleep", lambda _: None)
    options.setdefault("rng", random.Random(1))
    return CohortSync(Cohort("7", "Trial", members), post=receiver, **options)


# Snapshots and pages


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


def test_every_export_has_a_session_of_its_own() -> None:
    receiver = Receiver()
    sender = sync(receiver, people=2500)
    sender.run()
    sender.run()
    one, *rest = receiver.sessions()
    assert rest[:2] == [one, one]
    assert len(set(receiver.sessions())) == 2


def test_a_snapshot_of_more_than_three_days_is_forgotten() -> None:
    receiver = Receiver()
    times = count(NOW, SNAPSHOT_SECONDS + 1)
    sender = sync(receiver, clock=lambda: next(times))
    sender.run()
    sender.run()
    assert [action for action, _ in receiver.said] == ["members", "members"]


def test_a_failed_sync_starts_from_the_top_and_the_snapshot_stays() -> None:
    receiver = Receiver(200, *[500] * 6)
    sender = sync(receiver, people=2500)
    result = sender.run()
    assert (result.success, result.calls, result.statuses) == (False, 2, (200, 500))
    assert sender.snapshot is None
    receiver.bodies.clear()
    assert sender.run().success
    assert [size for _, size in receiver.said] == [1000, 1000, 500]


def test_the_snapshot_is_the_membership_at_the_start() -> None:
    receiver = Receiver()

    def leave(_: PlannedCall) -> None:
        sender.cohort.members.pop("u2", None)

    sender = sync(receiver, progress=leave)
    sender.run()
    receiver.bodies.clear()
    sender.run()
    assert receiver.said == [("add_members", 0), ("remove_members", 1)]


# What the sender does about an answer


@pytest.mark.parametrize("status", [0, 429, 500, 503])
def test_what_may_heal_is_retried_five_times_within_a_minute(status: int) -> None:
    slept: list[float] = []
    receiver = Receiver(*[status] * 5)
    assert sync(receiver, sleep=slept.append).run().success
    assert tuple(slept) == PAUSES
    assert sum(slept) == 60
    assert sorted(slept) == slept
    receiver = Receiver(*[status] * 6)
    sender = sync(receiver)
    result = sender.run()
    assert (result.success, result.paused, result.statuses) == (False, False, (status,))


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_what_a_person_must_mend_pauses_the_sync(status: int) -> None:
    receiver = Receiver(status)
    sender = sync(receiver)
    result = sender.run()
    assert (result.paused, result.message, result.calls) == (True, "no", 1)
    assert sender.run().paused
    assert len(receiver.bodies) == 1, "a paused sync sends nothing"
    sender.resume()
    assert sender.run().success


@pytest.mark.parametrize(
    ("dialect", "status", "outcome"),
    [
        (Dialect(), 413, "aborted"),
        (Dialect(on_other_status="pause"), 422, "paused"),
        (Dialect(on_other_status="retry"), 302, "success"),
        (Dialect(on_no_answer="abort"), 0, "aborted"),
        (Dialect(on_no_answer="pause"), 0, "paused"),
    ],
)
def test_what_is_not_documented_is_a_switch(
    dialect: Dialect, status: int, outcome: str
) -> None:
    result = sync(Receiver(status), dialect=dialect).run()
    failed = "paused" if result.paused else "aborted"
    assert ("success" if result.success else failed) == outcome


@pytest.mark.parametrize("reaction", ["accept", "abort", "pause", "retry"])
@pytest.mark.parametrize("body", [{"status": "failure"}, {}])
def test_so_is_a_200_that_says_failure_or_nothing(
    reaction: Any, body: dict[str, Any]
) -> None:
    said = iter([(200, body)])
    result = sync(
        lambda _: next(said, (200, {"status": "success"})),
        dialect=Dialect(on_failure_body=reaction),
    ).run()
    assert result.success == (reaction in {"accept", "retry"})
    assert result.paused == (reaction == "pause")


def test_what_a_resumed_sync_sends_is_a_switch() -> None:
    for full, action in ((False, "add_members"), (True, "members")):
        receiver = Receiver(200, 401)
        sender = sync(receiver, dialect=Dialect(resume_full=full))
        assert sender.run().success
        assert sender.run().paused
        sender.resume()
        sender.run()
        assert receiver.said[2][0] == action


# Dialects


def planned(dialect: Dialect) -> list[PlannedCall]:
    """Of 25 people, ten joined and fifteen left; pages of four."""
    rng = random.Random(1)
    return plan(
        [f"u{n}" for n in range(25)],
        frozenset(f"u{n}" for n in range(10, 40)),
        dialect,
        rng,
        Sessions(rng, reuse=dialect.reuse_session),
        page_size=4,
    )


@pytest.mark.parametrize("name", NAMED_DIALECTS)
def test_every_dialect_says_every_change_and_nothing_else(name: str) -> None:
    calls = planned(NAMED_DIALECTS[name])
    said = {(call.action, member) for call in calls for member in call.members}
    added = {("add_members", f"u{n}") for n in range(10)}
    assert said == added | {("remove_members", f"u{n}") for n in range(25, 40)}
    assert planned(NAMED_DIALECTS[name]) == calls, "the same seed gives the same calls"


@pytest.mark.parametrize("name", NAMED_DIALECTS)
def test_every_dialect_ends_with_a_receiver_that_knows_everybody(name: str) -> None:
    """A receiver with a set is right in a calm world."""
    received: set[str] = set()

    def receive(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        members = body.get("members") or body["parameters"].get("members", ())
        people = {member["mixpanel_distinct_id"] for member in members}
        if body["action"] == "remove_members":
            received.difference_update(people)
        else:
            received.update(people)
        return 200, {"status": "success"}

    sender = sync(receive, people=30, dialect=NAMED_DIALECTS[name], page_size=7)
    assert sender.run().success
    sender.cohort.members = {f"u{n}": {} for n in range(10, 45)}
    assert sender.run().success
    assert received == set(sender.cohort.members)


def test_there_are_at_least_a_dozen_dialects_and_no_two_are_alike() -> None:
    dialects = list(NAMED_DIALECTS.values())
    assert len(dialects) >= 12
    assert len(set(dialects)) == len(dialects)


def totals(calls: list[PlannedCall]) -> set[tuple[str, int]]:
    return {(call.action, call.total) for call in calls}


def test_totals_are_separate_or_common() -> None:
    assert totals(planned(Dialect())) == {("add_members", 3), ("remove_members", 4)}
    common = planned(Dialect(common_total=True))
    assert totals(common) == {("add_members", 7), ("remove_members", 7)}
    assert [call.page for call in common] == list(range(1, 8))


def test_sessions_are_shared_or_own() -> None:
    for shared, number in ((True, 1), (False, 2)):
        calls = planned(Dialect(shared_session=shared))
        assert len({call.session for call in calls}) == number


@pytest.mark.parametrize("shared", [True, False])
def test_session_ids_are_kept_until_a_sync_succeeds(shared: bool) -> None:
    receiver = Receiver()
    dialect = Dialect(
        reuse_session=True, shared_session=shared, first_sync="add_members"
    )
    sender = sync(receiver, dialect=dialect)
    receiver.statuses = [200, *[500] * 6]
    assert not sender.run().success
    failed = list(dict.fromkeys(receiver.sessions()))
    receiver.bodies.clear()
    assert sender.run().success
    assert receiver.sessions() == (failed * 2)[:2]
    receiver.bodies.clear()
    sender.run()
    assert not set(receiver.sessions()) & set(failed)


def test_else_a_sync_that_starts_again_has_a_new_session() -> None:
    receiver = Receiver(*[500] * 6)
    sender = sync(receiver)
    sender.run()
    sender.run()
    assert len(set(receiver.sessions())) == 2


def test_pages_come_shuffled() -> None:
    ordered, shuffled = planned(Dialect()), planned(Dialect(shuffled=True))
    assert sorted(map(repr, ordered)) == sorted(map(repr, shuffled))
    assert ordered != shuffled


def test_some_pages_come_again() -> None:
    once, again = planned(Dialect()), planned(Dialect(repeat_pages=True))
    assert len(again) > len(once)
    assert list(dict.fromkeys(again)) == once


def test_empty_calls_are_sent_or_left_out() -> None:
    receiver = Receiver()
    sender = sync(receiver, dialect=Dialect(send_empty=False))
    sender.run()
    del sender.cohort.members["u1"]
    sender.run()
    sender.run()
    assert receiver.said == [("members", 3), ("remove_members", 1)]


def test_several_pages_are_under_way_at_a_time() -> None:
    import threading

    together = threading.Barrier(3, timeout=5)

    def receive(_: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        together.wait()
        return 200, {"status": "success"}

    sender = sync(receive, people=6, dialect=Dialect(parallel=3), page_size=1)
    assert sender.run().success


def parameters(dialect: Dialect) -> dict[str, Any]:
    receiver = Receiver()
    sender = sync(receiver, people=1, dialect=dialect)
    sender.cohort.members = {"u0": {"$email": "ada@example.com"}}
    sender.run()
    found = receiver.bodies[0]["parameters"]
    assert isinstance(found, dict)
    return found


def test_what_a_call_holds_is_a_switch() -> None:
    plain = parameters(Dialect())
    assert plain["mixpanel_cohort_description"]
    assert "mixpanel_integration_id" not in plain
    assert (plain["mixpanel_cohort_id"], plain["mixpanel_project_id"]) == (
        "7",
        "2195193",
    )
    bare = parameters(
        Dialect(
            page_info=False, description=False, integration_id=True, numeric_ids=True
        )
    )
    assert not {"page_info", "mixpanel_cohort_description"} & set(bare)
    assert bare["mixpanel_integration_id"] == "0"
    assert (bare["mixpanel_cohort_id"], bare["mixpanel_project_id"]) == (7, 2195193)


def test_members_have_the_default_four_or_properties_by_their_own_names() -> None:
    (default,) = parameters(Dialect())["members"]
    four = {"mixpanel_distinct_id", "email", "first_name", "last_name"}
    assert set(default) == four | {"$email"}
    (raw,) = parameters(Dialect(raw_names=True))["members"]
    assert set(raw) == {"mixpanel_distinct_id", "$distinct_id", "$email"}


# Over HTTP


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[Call]]]:
    calls: list[Call] = []

    def respond(call: Call) -> Answer:
        calls.append(call)
        if call.headers.get("authorization") != basic("mixpanel:right"):
            return Answer(401, {"status": "failure", "error": {"message": "wrong"}})
        return Answer(200, {"status": "success", "action": call.json()["action"]})

    server = WebServer(respond)
    yield f"{server.start()}/cohorts", calls
    server.stop()


def test_a_person_with_curl_can_sync_a_cohort(
    mixpanel: MixpanelStandIn, webhook: tuple[str, list[Call]]
) -> None:
    url, calls = webhook

    def post(path: str, **body: Any) -> requests.Response:
        return requests.post(f"{mixpanel.url}/_stand_in/{path}", json=body, timeout=5)

    assert post("cohorts", id="7", name="Trial", members=["u-1", "u-2"]).ok
    order = {"id": "7", "url": url, "username": "mixpanel"}
    paused = post("sync", **order, password="wrong").json()
    assert (paused["paused"], paused["message"]) == (True, "wrong")
    assert post("sync", **order, password="right").json()["success"]
    post("cohorts", id="7", members={"u-2": {"plan": "pro"}, "u-3": {}})
    assert post("sync", **order, password="right").json()["statuses"] == [200, 200]
    said = [(c.json()["action"], len(c.json()["parameters"]["members"])) for c in calls]
    assert said[1:] == [("members", 2), ("add_members", 1), ("remove_members", 1)]
    assert mixpanel.state()["cohorts"] == {"7": {"name": "Trial", "members": 2}}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("cohorts", {"id": "seven"}),
        ("sync", {"id": "8", "url": "http://127.0.0.1:9"}),
        ("sync", {"id": "7"}),
        ("sync", []),
        ("cohorts", {"id": "7", "members": 3}),
        ("sync", {"id": "7", "url": "http://127.0.0.1:9", "dialect": "klingon"}),
    ],
)
def test_an_order_that_makes_no_sense_is_400(
    mixpanel: MixpanelStandIn, path: str, body: Any
) -> None:
    mixpanel.cohorts["7"] = Cohort("7", "Trial")
    url = f"{mixpanel.url}/_stand_in/{path}"
    assert requests.post(url, json=body, timeout=5).status_code == 400


def test_a_webhook_that_is_not_there_is_tried_again_and_given_up() -> None:
    slept: list[float] = []
    cohort = Cohort("7", "Trial", {"u": {}})
    sender = CohortSync(cohort, "http://127.0.0.1:9/", "u", "p", sleep=slept.append)
    result = sender.run()
    assert (result.success, result.paused, result.statuses) == (False, False, (0,))
    assert len(slept) == 5
