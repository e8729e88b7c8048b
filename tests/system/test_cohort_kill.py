"""A-kill: SIGKILL just before and just after every call that a function makes.

Messages are delivered by hand and one at a time, so that each death is at one boundary
of one page, and the redelivery is the very same event.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest

from bridge.cohorts.messages import CohortKey
from sandbox.braze.track import TrackLimits
from sandbox.cloud import Cloud
from sandbox.mixpanel import NAMED_DIALECTS
from sandbox.servers.kill_proxy import KillProxy, KillSwitch
from tests.system.accounts import accounts
from tests.system.claims import record_claim
from tests.system.deliveries import delete, receive
from tests.system.syncs import AT_ONCE, History, begin, members_at_braze

WEBHOOK, CONSUMER = "CohortWebhookFunction", "CohortConsumerFunction"
KINDS = ("members", "add_members", "remove_members")
PEOPLE = [f"k-{number}" for number in range(9)]
EVERY = 13
"""`make test` takes one case of so many, `make soak` all; odd, to meet both sides."""


@dataclass(frozen=True, slots=True)
class Case:
    """Where a function is killed; `cold` is in the first invocation of its process."""

    function: str
    kind: str
    at: int | None = None
    after: bool = False
    cold: bool = False


class World:
    """The functions behind kill proxies; the test delivers the queue's messages."""

    def __init__(self, cloud: Cloud, switch: KillSwitch) -> None:
        self.cloud = cloud
        self.switch = switch
        self.ids = count(1)
        self.seen: list[str] = []
        self.missed = 0

    def run(self, case: Case) -> list[str]:
        """Sync one cohort with one kill; the calls up to it."""
        history = begin(
            self.cloud,
            f"{next(self.ids)}",
            NAMED_DIALECTS["documented"],
            PEOPLE,
            page_size=3,
            patience=0,
        )
        members = history.cohort.members
        members.update({person: {} for person in PEOPLE[:6]})
        if case.kind != "members":
            self._sync(history, None)
            members.update({PEOPLE[6]: {}, PEOPLE[7]: {}})
            del members[PEOPLE[0]], members[PEOPLE[1]]
        calls = self._sync(history, case)
        assert members_at_braze(self.cloud, history.cohort) == set(members)
        # What the kill left behind must not falsify the next difference either.
        members.update({PEOPLE[0]: {}})
        del members[PEOPLE[2]]
        self._sync(history, None)
        assert members_at_braze(self.cloud, history.cohort) == set(members)
        self._check_accounts(history)
        return calls

    def _sync(self, history: History, case: Case | None) -> list[str]:
        real = history.network.post
        armed = [case] if case is not None and case.function == WEBHOOK else []
        of_webhook = bool(armed)

        def post(body: dict[str, Any]) -> Any:
            if armed and body["action"] == armed[0].kind:
                return self._armed(armed.pop(), lambda: real(body))
            return real(body)

        history.network.post = post
        assert history.run().success
        history.network.post = real
        if case is None or of_webhook:
            self.deliver(None)
        else:
            self.deliver(case)
        return self.seen if case is not None else []

    def deliver(self, case: Case | None) -> None:
        """Empty the queue; the first page of the case's kind meets the kill."""
        while records := receive(self.cloud):
            for record in records:
                event = {"Records": [record]}
                action = json.loads(record["body"]).get("action")
                if case is not None and action == case.kind:
                    victim, case = case, None
                    self._armed(victim, lambda e=event: self._consume(e))
                while self._consume(event):
                    pass
                delete(self.cloud, record)

    def _consume(self, event: dict[str, Any]) -> bool:
        """Whether the message was not processed."""
        invocation = self.cloud.invoke(CONSUMER, event)
        if invocation.function_error:
            return True
        return bool(json.loads(invocation.payload)["batchItemFailures"])

    def _armed(self, case: Case, act: Any) -> Any:
        if case.cold:
            self.cloud.kill(case.function)
        self.switch.arm(
            case.at, lambda: self.cloud.kill(case.function), after=case.after
        )
        result = act()
        self.seen = list(self.switch.calls)
        # How often the shared brake is read depends on the time, so a run may make
        # one call less than that in which they were counted.
        is_missed = case.at is not None and case.at >= len(self.seen)
        assert self.switch.killed == (case.at is not None and not is_missed)
        self.missed += is_missed
        self.switch.arm(None, lambda: None, after=False)
        return result

    def _check_accounts(self, history: History) -> None:
        key = CohortKey(project=history.cohort.project_id, cohort=history.cohort.id)
        account = accounts(self.cloud, [key])[key.cohort]
        assert set(history.network.accepted) <= account.registered
        assert account.accepted == account.processed


@pytest.fixture(scope="module")
def world(built: Any) -> Iterator[World]:
    switch = KillSwitch()
    with KillProxy(switch) as aws, KillProxy(switch) as vendor:
        urls = {"AWS_ENDPOINT_URL": aws.url, "BRAZE_REST_ENDPOINT": vendor.url}
        with Cloud(built, concurrency=1, environment=urls, parameters=AT_ONCE) as cloud:
            aws.upstream = cloud.description["aws_endpoint_url"]
            vendor.upstream = cloud.description["braze_url"]
            braze: Any = cloud.braze
            # So a page of three takes three calls, which are under way together.
            braze.track_limits = TrackLimits(objects=1)
            for person in PEOPLE:
                braze.workspace.add_user(external_id=person)
            cloud.pause()
            yield World(cloud, switch)


def cases(world: World) -> tuple[list[Case], dict[tuple[str, str], list[str]]]:
    """All calls of a run without a kill, both sides of each."""
    world.run(Case(WEBHOOK, "members"))  # the processes are warm then
    every: list[Case] = []
    calls: dict[tuple[str, str], list[str]] = {}
    for function in (WEBHOOK, CONSUMER):
        for kind in KINDS:
            calls[function, kind] = world.run(Case(function, kind))
            every += [
                Case(function, kind, at, after)
                for at in range(len(calls[function, kind]))
                for after in (False, True)
            ]
        every += [Case(function, "members", 0, after, True) for after in (False, True)]
    return every, calls


def check(world: World, every: int) -> None:
    all_cases, calls = cases(world)
    chosen = all_cases[::every]
    wrong = []
    for case in chosen:
        try:
            world.run(case)
        except AssertionError as error:
            wrong.append((case, str(error)))
    boundaries = ", ".join(
        f"{len(calls[WEBHOOK, kind])} + {len(calls[CONSUMER, kind])} of {kind}"
        for kind in KINDS
    )
    record_claim(
        row="A-kill",
        size=f"{len(chosen)} of {len(all_cases)} cases: calls of webhook + consumer "
        f"{boundaries}; before and after each",
        faults="SIGKILL of the built function's process",
        claim="0 wrong after redelivery, 0 pages lost",
        result=f"{len(wrong)} wrong or lost",
    )
    assert wrong == []
    assert world.missed <= 1 + len(chosen) / 20, "nearly all meet their call"
    assert {call for made in calls.values() for call in made} >= {
        f"PUT {world.cloud.description['resources']['DataBucket']}",
        "TransactWriteItems",
        "SendMessage",
        "POST users",
        "BatchWriteItem",
        "UpdateItem",
    }


def test_a_kill(world: World) -> None:
    check(world, EVERY)


@pytest.mark.soak
def test_a_kill_at_every_boundary(world: World) -> None:
    check(world, 1)
