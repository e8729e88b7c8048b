"""A-outage and A-late: a day without Braze, and pages that come syncs too late."""

import json
import random
from typing import Any

import pytest

from bridge.cohorts.apply.batch import PAGES_AT_A_TIME
from sandbox.mixpanel import Cohort, CohortSync, Dialect
from tests.system.claims import record_claim
from tests.system.virtual import (
    BATCH,
    CONSUMER_SECONDS,
    RECEIVES,
    VISIBILITY,
    Message,
    VirtualWorld,
)

DAY, HALF_AN_HOUR = 86_400.0, 1_800.0
FAULTS = (
    "500",
    "503",
    "429 hour",
    "429 bare",
    "423",
    "stall",
    "reset before",
    "reset after",
)
HELD = 20.0
"""Seconds for which a failed call holds its batch up: the transport's pauses."""
QUICK_OUTAGE, OUTAGE = (3, 9), (20, 500)
QUICK_LATE, LATE = 60, 1_000


def recurring(
    world: VirtualWorld, cohort: Cohort, page_size: int, seed: int
) -> CohortSync:
    return CohortSync(
        cohort,
        dialect=Dialect(),
        page_size=page_size,
        post=world.post,
        sleep=world.sleep,
        clock=lambda: world.now,
        rng=random.Random(seed),
    )


def pages_of(messages: list[Message]) -> list[dict[str, Any]]:
    contents = [json.loads(message.body) for message in messages]
    return [each for each in contents if each["kind"] == "page"]


def named(world: VirtualWorld, message: Message) -> list[str]:
    """Whom the page of a message names."""
    digest = json.loads(message.body)["digest"]
    # Cohorts of the same people have pages of the same content.
    content = next(c for k, c in world.bucket.objects.items() if digest in k)
    return [distinct_id for distinct_id, *_ in json.loads(content)]


def members_at_braze(world: VirtualWorld, cohort: Cohort) -> set[str]:
    name = f"mixpanel_{cohort.id}"
    return set(world.braze.workspace.cohort_members("mixpanel_cohorts", name))


def test_virtual_world_is_the_templates(built: Any) -> None:
    """The queue of these tests is a model: its figures are those of the deployment."""
    from sandbox.cloudformation.stack import Stack
    from sandbox.cloudformation.template import Template

    template = Template(
        built,
        {"MixpanelRegion": "US", "BrazeRestEndpoint": "https://rest.x.braze.com"},
        "us-east-1",
        "http://127.0.0.1:9",
    )
    queue = template.properties("CohortQueue")
    stack = Stack(template)
    (source,) = [s for s in stack.queues if s.function == "CohortConsumerFunction"]
    assert int(queue["VisibilityTimeout"]) == VISIBILITY
    assert int(queue["RedrivePolicy"]["maxReceiveCount"]) == RECEIVES
    assert source.batch_size == BATCH
    assert stack.functions["CohortConsumerFunction"].timeout == CONSUMER_SECONDS


def outage(world: VirtualWorld, cohorts: int, pages: int) -> None:
    rng = random.Random(1)
    each = pages // cohorts
    made = [Cohort(f"{n}", f"Cohort {n}") for n in range(cohorts)]
    for cohort in made:
        people = [f"o{cohort.id}-{n}" for n in range(2 * each)]
        cohort.members = {person: {} for person in people}
        for person in people:
            world.braze.workspace.add_user(external_id=person)
    ends = world.now + DAY
    faults: dict[str, int] = {}

    def fault(_: bytes) -> str | None:
        if world.now >= ends:
            return None
        kind = rng.choice(FAULTS)
        faults[kind] = faults.get(kind, 0) + 1
        return kind

    world.braze_fault = fault
    for cohort in made:
        assert recurring(world, cohort, 2, 1).run().success
    sent = pages_of(world.queue.waiting)
    world.work(ends + DAY)
    handled = pages_of([message for _, message in world.handled])
    disordered = sum(
        [p["page"] for p in handled if p["key"]["cohort"] == cohort.id]
        != [p["page"] for p in sent if p["key"]["cohort"] == cohort.id]
        for cohort in made
    )
    wrong = sum(
        members_at_braze(world, cohort) != set(cohort.members) for cohort in made
    )
    after = max(at for at, _ in world.handled) - ends
    record_claim(
        row="A-outage",
        size=f"{len(sent)} pages of {cohorts} cohorts, 24 h on a virtual clock, "
        f"{world.batches} batches",
        faults="every call: "
        + ", ".join(f"{n} x {k}" for k, n in sorted(faults.items())),
        claim="0 in the dead-letter queue, order kept in each cohort, 0 wrong after",
        result=f"{len(world.queue.dead_letters)} in the DLQ (most receives "
        f"{world.queue.most_received} of {RECEIVES}), {disordered} cohorts out of "
        f"order, {wrong} wrong; all in {after / 60:.0f} min after its end",
    )
    assert len(sent) == cohorts * each
    assert (world.queue.dead_letters, world.queue.waiting) == ([], [])
    assert (disordered, wrong) == (0, 0)
    assert len(handled) == len(sent)
    assert set(faults) == set(FAULTS)


def one_bad_cohort(world: VirtualWorld, cohorts: int, pages: int) -> None:
    """Braze fails for one cohort alone: how many batches of it stand before others."""
    each = pages // cohorts
    made = [Cohort(f"{n}", f"Cohort {n}") for n in range(cohorts)]
    for cohort in made:
        people = [f"b{cohort.id}-{n}" for n in range(2 * each)]
        cohort.members = {person: {} for person in people}
        for person in people:
            world.braze.workspace.add_user(external_id=person)
    bad = made[0]
    mark = f'"mixpanel_{bad.id}"'.encode()
    world.braze_fault = lambda body: "423" if mark in body else None
    delivered: list[tuple[int, str]] = []
    real = world.deliver

    def deliver(batch: list[Message]) -> None:
        delivered.extend(
            (world.batches, json.loads(message.body)["key"]["cohort"])
            for message in batch
        )
        real(batch)

    world.deliver = deliver  # type: ignore[method-assign]
    for cohort in made:
        assert recurring(world, cohort, 2, 1).run().success
    began = world.now
    world.work(world.now + DAY)
    with_bad = {batch for batch, cohort in delivered if cohort == bad.id}
    last_of_others = max(b for b, cohort in delivered if cohort != bad.id)
    done = [at for at, m in world.handled if f'"cohort":"{bad.id}"' not in m.body]
    before = len([batch for batch in with_bad if batch < last_of_others])
    alone = len(
        [b for b in with_bad if {c for n, c in delivered if n == b} == {bad.id}]
    )
    late = max(done) - began
    record_claim(
        row="A-outage, one bad cohort",
        size=f"{cohorts} cohorts, {cohorts * each} pages, 24 h",
        faults="423 to every call of one cohort",
        claim="no other waits for more than one of its batches; 0 wrong",
        result=f"{before} of its batches ({alone} in all) before the last of the "
        f"others, who were done after {late:.0f} s",
    )
    assert all(
        members_at_braze(world, cohort) == set(cohort.members) for cohort in made[1:]
    )
    assert members_at_braze(world, bad) == set()
    assert before <= 1 + len(done) // 50
    # On this clock the pauses of pages that overlap come one after the other.
    assert late < before * HELD * PAGES_AT_A_TIME + len(done) * 0.2
    assert world.queue.dead_letters == []


def late_pages(world: VirtualWorld, pages: int) -> None:
    """Every third page goes to the dead-letter queue and comes back 1-3 syncs late."""
    rng = random.Random(7)
    people = [f"l-{n}" for n in range(30)]
    for person in people:
        world.braze.workspace.add_user(external_id=person)
    stale = sent = redriven = histories = 0
    wrong = 0
    while sent < pages:
        histories += 1
        cohort = Cohort(f"late-{histories}", "Late")
        sync = recurring(world, cohort, 5, histories)
        unlisted: set[str] = set()
        parked: list[tuple[int, Message]] = []
        for number in range(10):
            for person in rng.sample(people, 8):
                if person in cohort.members:
                    del cohort.members[person]
                else:
                    cohort.members[person] = {}
            if number == 6:
                sync.snapshot = None
                unlisted = set(people) - set(cohort.members)
            assert sync.run().success
            fresh = [m for m in world.queue.waiting if '"kind":"page"' in m.body]
            sent += len(fresh)
            for message in fresh:
                if number < 9 and rng.random() < 1 / 3:
                    world.queue.waiting.remove(message)
                    parked.append((number + rng.randint(1, 3), message))
            world.work(world.now + DAY)
            for due, message in list(parked):
                if due > number and number < 9:
                    continue
                parked.remove((due, message))
                redriven += 1
                before = members_at_braze(world, cohort)
                world.queue.waiting.append(message)
                world.work(world.now + DAY)
                after = members_at_braze(world, cohort)
                # Whom no other page speaks of that is still away, a late page must
                # not take from the truth of now to that of then. A full list speaks
                # of all whom it leaves out as well, when it has all its pages.
                truth = set(cohort.members)
                away = {p for _, m in parked for p in named(world, m)}
                if any('"action":"members"' in m.body for _, m in parked):
                    away |= unlisted
                stale += len((after ^ truth) - (before ^ truth) - away)
            world.now += HALF_AN_HOUR
        wrong += members_at_braze(world, cohort) != set(cohort.members)
        world.stack.empty_ledger()
    record_claim(
        row="A-late",
        size=f"{sent} pages, {histories} cohorts of 10 syncs; {redriven} redriven "
        "1-3 syncs late",
        faults="a third of the pages through the dead-letter queue; seed 7",
        claim="0 stale overwrites, 0 wrong in the end",
        result=f"{stale} members made wrong by a late page, {wrong} cohorts wrong",
    )
    assert (stale, wrong) == (0, 0)
    assert redriven > sent // 6


def test_a_outage(virtual: VirtualWorld) -> None:
    outage(virtual, *QUICK_OUTAGE)


def test_a_outage_of_one_cohort(virtual: VirtualWorld) -> None:
    one_bad_cohort(virtual, *QUICK_OUTAGE)


def test_a_late(virtual: VirtualWorld) -> None:
    late_pages(virtual, QUICK_LATE)


@pytest.mark.soak
def test_a_outage_at_full_size(virtual: VirtualWorld) -> None:
    outage(virtual, *OUTAGE)


@pytest.mark.soak
def test_a_outage_of_one_cohort_at_full_size(virtual: VirtualWorld) -> None:
    one_bad_cohort(virtual, *OUTAGE)


@pytest.mark.soak
def test_a_late_at_full_size(virtual: VirtualWorld) -> None:
    late_pages(virtual, LATE)
